"""The companion controller: light, button, camera power and battery behind one serial line."""
