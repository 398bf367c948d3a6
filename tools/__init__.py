"""Programs for visitors and developers: the demo, the measurements, the rig. Never on a device's image.

They may import every room; nothing imports them.
"""
