"""Small programs of the device image, each on its own: the standard library, and nothing of ours (docs/IMAGE.md)."""
