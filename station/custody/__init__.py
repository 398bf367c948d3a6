"""The custody store: sealed bytes as they came, and what was decided about them (docs/CUSTODY.md)."""
