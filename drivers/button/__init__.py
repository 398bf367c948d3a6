"""The one button that the officer presses."""
