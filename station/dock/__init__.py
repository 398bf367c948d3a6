"""The dock: bays that take everything off a device, check it, and receipt it (docs/DOCK.md)."""
