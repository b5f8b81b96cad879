"""Kernels in CUDA C. The same table, the same packed weights and the same definitions as every other back end."""
