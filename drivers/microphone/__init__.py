"""The microphone: blocks of PCM with the time at which each was heard."""
