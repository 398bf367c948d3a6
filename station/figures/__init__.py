"""The figures of a trial, which units compare: no personal datum is in them (docs/CUSTODY.md, "Figures")."""
