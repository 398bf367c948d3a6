"""The appliance: what the officer wears. States, gestures, recorder, wiring and command line."""
