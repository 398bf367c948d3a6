"""The switch of the camera's power."""
