"""Pictures and pages of the documentation that follow from the code: `make docs`."""
