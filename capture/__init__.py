"""The loop from camera and microphone to chunks of fragmented MP4 on one clock.

`capture.capture.Capture` is its face. Times are `time.monotonic_ns()` values in nanoseconds (`_ns`), sizes are bytes.
"""
