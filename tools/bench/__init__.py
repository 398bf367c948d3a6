"""`make bench`: what the project's own code costs, as a ratio to the limit measured in the same run."""
