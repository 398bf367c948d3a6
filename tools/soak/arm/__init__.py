"""The device's image, made of real arm64 packages, and its root run by user-mode emulation."""
