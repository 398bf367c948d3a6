"""Which version of the firmware this is: the same as in pyproject.toml, which is not on a device."""

VERSION = "0.1.0"
