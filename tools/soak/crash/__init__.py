"""Stops the recorder at every write-side system call, and looks at what a disk may then hold (docs/FAULTS.md)."""
