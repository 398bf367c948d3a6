"""The battery and its gauge."""
