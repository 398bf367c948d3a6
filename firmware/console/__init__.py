"""The technician's cable: what a device answers over its USB serial port (docs/ENROL.md). A process of its own."""
