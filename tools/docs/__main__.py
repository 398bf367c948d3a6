"""`python -m tools.docs`: make all pictures and pages anew that follow from the code."""

from __future__ import annotations

from tools.docs import card, signals

signals.main([])
card.main([])
