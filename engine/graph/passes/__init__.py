"""Rewrites of a bound graph: each takes a graph and returns one that gives the same numbers."""
