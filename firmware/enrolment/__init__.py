"""Enrolment at the technician's cable, the device's side: keys are born here and never leave (docs/ENROL.md)."""
