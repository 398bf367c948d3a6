"""What the two ends of a technician's cable say to one another: frames, messages, sessions, bodies (docs/ENROL.md).

It knows nothing of ours: device and station both speak it.
"""
