"""The reference back end: every kernel as a plain NumPy function, the living definition of what it computes."""
