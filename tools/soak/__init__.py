"""Longer tests than `make test` has time for: `make soak` runs them all and writes what they found to build/soak/."""
