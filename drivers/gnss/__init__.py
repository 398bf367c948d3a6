"""The receiver of satellite navigation."""
