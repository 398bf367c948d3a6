"""The clock: monotonic time, wall-clock time, and how good the latter is."""
