"""The program of the companion controller: which one it runs, and how another one is put on it."""
