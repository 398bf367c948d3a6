"""Uplink: live view over MQTT, and the dock's offload server."""
