"""Makes a device's card image out of a Raspberry Pi OS Lite image, without root rights or mounts (docs/IMAGE.md)."""
