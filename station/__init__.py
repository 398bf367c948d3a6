"""The station: the other machine, and the only one that can open what the devices sealed.

Never on a device's image.
"""
