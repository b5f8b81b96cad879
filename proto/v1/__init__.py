"""Version 1 of the wire: package wavetile.v1."""
