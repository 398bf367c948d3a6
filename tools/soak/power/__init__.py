"""Cuts the power of a whole machine that records: a QEMU guest on a disk that forgets what was not flushed."""
