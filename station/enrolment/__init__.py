"""Enrolment at the technician's cable, the station's side (docs/ENROL.md)."""
