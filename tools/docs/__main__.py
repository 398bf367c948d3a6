"""`python -m tools.docs`: make all pictures and pages anew that follow from the code."""

from __future__ import annotations

from tools.docs import boards, card, faults, policy, signals, states

signals.main([])
card.main([])
states.main()
policy.main()
boards.main()
faults.main()
