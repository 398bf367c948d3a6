"""Live view: the very chunks that went to flash, published over MQTT (docs/LIVE.md)."""
