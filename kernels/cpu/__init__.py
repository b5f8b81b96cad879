"""The CPU back end: kernels in Numba, and the interpreter that walks a program in one native call."""
