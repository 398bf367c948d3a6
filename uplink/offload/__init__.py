"""The offload server: what a docked device gives to its station, and takes from it (docs/DOCK.md)."""
