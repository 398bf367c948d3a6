"""The live receiver: what devices stream, verified and decrypted on arrival (docs/LIVE.md)."""
