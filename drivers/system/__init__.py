"""The operating system around the device: its services, its clock, its power, its log."""
