"""The sensor of falls and blows."""
