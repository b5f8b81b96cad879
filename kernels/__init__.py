"""Kernels: arrays in, arrays out. One contract, and the back ends that keep it."""
