"""The audit log: who did what, when and why, with footage and with what is known about it (docs/CUSTODY.md)."""
