"""Vector code of the exponential, and of the activations that it and a division make: sigmoid and swish.

Written as vectors of PANEL float32 because LLVM, left to itself, takes half of AVX-512's. Bound by the division and by
about 22 operations a vector, which the machine overlaps with those of the next: some 30 cycles on Cascade Lake.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from ..contract import PANEL
from .vectors import FLOAT_IR, VECTOR_IR, Vector, emit_at_least, emit_multiply_add, emit_splat, operation

_FLAGS = ("contract",)
_INTEGERS = ir.VectorType(ir.IntType(32), PANEL)
_LOG2_E = 1.4426950216293335
# ln 2 = high + low; the high part has few bits, so that its product with a small whole number is exact.
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
# Adding 1.5 * 2**23 leaves the nearest whole number in the low bits of the sum.
_ROUNDER = 12582912.0
# Cephes expf (S. Moshier): (exp(r) - 1 - r) / r**2 on [-ln 2 / 2, ln 2 / 2].
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_LIMIT = 87.0


def _number(value: float) -> ir.Constant:
    return ir.Constant(VECTOR_IR, [ir.Constant(FLOAT_IR, value)] * PANEL)


def _exp_parts(builder: ir.IRBuilder, t: Any) -> tuple[Any, Any]:
    """(m, scale) of exp(t) = (1 + m) scale, for |t| <= 87: scale is a power of two, m lies between -0.3 and 0.42."""
    limited = emit_at_least(builder, _number(-_LIMIT), t)
    shifted = emit_multiply_add(builder, limited, _number(_LOG2_E), _number(_ROUNDER))
    power = builder.fsub(shifted, _number(_ROUNDER), flags=_FLAGS)
    r = emit_multiply_add(builder, power, _number(-_LN2_HIGH), limited)
    r = emit_multiply_add(builder, power, _number(-_LN2_LOW), r)
    p = _number(_EXP[0])
    for coefficient in _EXP[1:]:
        p = emit_multiply_add(builder, p, r, _number(coefficient))
    m = emit_multiply_add(builder, p, builder.fmul(r, r, flags=_FLAGS), r)
    bits = builder.shl(builder.bitcast(shifted, _INTEGERS), ir.Constant(_INTEGERS, [23] * PANEL))
    return m, builder.bitcast(builder.add(bits, ir.Constant(_INTEGERS, [127 << 23] * PANEL)), VECTOR_IR)


def _one_plus_exp(builder: ir.IRBuilder, t: Any) -> Any:
    """1 + exp(t), at most 1.5 ulp off; infinite above 87, NaN stays NaN."""
    far = builder.fcmp_ordered(">", t, _number(_LIMIT))
    m, scale = _exp_parts(builder, builder.select(far, _number(_LIMIT), t))
    total = emit_multiply_add(builder, m, scale, builder.fadd(scale, _number(1.0), flags=_FLAGS))
    return builder.select(far, _number(float("inf")), total)


def emit_exp(builder: ir.IRBuilder, x: Any) -> Any:
    """exp(x) for x <= 87, at most 1.1 ulp off; 0 below x = -87, NaN stays NaN."""
    m, scale = _exp_parts(builder, x)
    vanishes = builder.fcmp_ordered("<", x, _number(-_LIMIT))
    return builder.select(vanishes, _number(0.0), emit_multiply_add(builder, m, scale, scale))


def _sigmoid(builder: ir.IRBuilder, x: Any) -> Any:
    return builder.fdiv(_number(1.0), _one_plus_exp(builder, builder.fneg(x)), flags=_FLAGS)


def _swish(builder: ir.IRBuilder, x: Any, alpha: Any) -> Any:
    t = builder.fmul(x, emit_splat(builder, builder.fneg(alpha)), flags=_FLAGS)
    return builder.fdiv(x, _one_plus_exp(builder, t), flags=_FLAGS)


sigmoid = operation("sigmoid", Vector(), (Vector(),), _sigmoid)
"""sigmoid(x): 1 / (1 + exp(-x)), at most 2.5 ulp off; 0 below x = -87, NaN stays NaN."""

swish = operation("swish", Vector(), (Vector(), types.float32), _swish)
"""swish(x, alpha): x / (1 + exp(-alpha x)), with alpha 1 at most 2.5 ulp off; 0 below x = -87, NaN stays NaN."""
