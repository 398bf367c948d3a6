"""The real-time clock that keeps time while the device is off."""
