"""The technician's end of the console (docs/CONSOLE.md). It needs no station: a key, a credential and a cable."""
