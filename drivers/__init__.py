"""Drivers: one hardware part a file, each behind a small protocol.

Every part comes as a real driver, a simulated one and a disabled one. A driver knows nothing of the rest of the
project. Times are `time.monotonic_ns()` values in nanoseconds (`_ns`).
"""
