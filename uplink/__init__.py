"""Uplink: live view and the dock's offload server. Nothing lives here yet; the room's walls are held all the same."""
