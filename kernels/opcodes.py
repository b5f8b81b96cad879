"""The members of each family of element-wise kernels, by their ONNX operator names."""

from __future__ import annotations

from enum import IntEnum


class Activation(IntEnum):
    """What a kernel applies to its result before it writes it; `alpha` and `beta` are the ONNX attributes.

    PRELU takes a slope for each channel from the kernel's `slope` operand. CLIP limits to [alpha, beta].
    """

    NONE = 0
    RELU = 1
    LEAKY_RELU = 2
    SIGMOID = 3
    TANH = 4
    ELU = 5
    HARD_SIGMOID = 6
    HARD_SWISH = 7
    CLIP = 8
    PRELU = 9
    SWISH = 10
    """y sigmoid(alpha y)."""


class Unary(IntEnum):
    """y = f(x; alpha, beta)."""

    RELU = 1
    LEAKY_RELU = 2
    SIGMOID = 3
    TANH = 4
    ELU = 5
    HARD_SIGMOID = 6
    HARD_SWISH = 7
    CLIP = 8
    NEG = 20
    ABS = 21
    SQRT = 22
    RECIPROCAL = 23
    EXP = 24
    LOG = 25
    SIN = 26
    COS = 27
    FLOOR = 28
    CEIL = 29
    ROUND = 30
    """Halves to even, as ONNX Round."""
    ERF = 31
    SOFTPLUS = 32
    SOFTSIGN = 33
    SIGN = 34
    SQUARE = 35
    SELU = 36
    GELU = 37
    """alpha 0: exact (erf); alpha 1: the tanh approximation."""
    MISH = 38
    SWISH = 39
    """x sigmoid(alpha x)."""


class Binary(IntEnum):
    """y = f(a, b), broadcast through zero strides. Comparisons and logic give 1.0 or 0.0."""

    ADD = 1
    SUB = 2
    MUL = 3
    DIV = 4
    MAX = 5
    MIN = 6
    POW = 7
    PRELU = 8
    """a where a >= 0, a * b elsewhere."""
    GREATER = 20
    GREATER_OR_EQUAL = 21
    LESS = 22
    LESS_OR_EQUAL = 23
    EQUAL = 24
    AND = 25
    OR = 26
    XOR = 27


class Reduce(IntEnum):
    """How a reduction combines the reduced axes."""

    SUM = 1
    MEAN = 2
    MAX = 3
    MIN = 4
    PROD = 5
    SUM_SQUARE = 6
    L1 = 7
    L2 = 8
