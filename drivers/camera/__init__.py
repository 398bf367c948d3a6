"""The camera: H.264 access units with the time at which each picture was taken."""
