"""Who may do what at the station (docs/CUSTODY.md)."""
