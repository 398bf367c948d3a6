"""Whether the device stands in its dock."""
