"""The recording light that tells the public what happens."""
