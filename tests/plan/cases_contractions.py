"""One-line networks: Einsum, and products of integers and doubles."""

from __future__ import annotations

import numpy as np

from tests.plan.cases import case
from tests.plan.networks import signal

EQUATIONS = {
    "product": ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    "implicit": ("ij,jk", (3, 4), (4, 5)),
    "transposed": ("ibj,kjb->kib", (3, 2, 4), (5, 4, 2)),
    "grouped": ("btgi,gih->btgh", (1, 3, 4, 5), (4, 5, 6)),
    "grouped_time_first": ("tbgi,gih->bthg", (3, 2, 4, 5), (4, 5, 6)),
    "outer": ("i,jk->kij", (3,), (4, 5)),
    "elements": ("ij,ij->ij", (3, 4), (3, 4)),
    "inner": ("ij,ij->", (3, 4), (3, 4)),
    "summed_alone": ("ijk,jl->il", (2, 3, 4), (3, 5)),
    "attention": ("bqhd,bkhd->bhqk", (1, 4, 2, 3), (1, 5, 2, 3)),
    "ellipsis": ("...ij,...jk->...ik", (2, 3, 4, 5), (1, 3, 5, 2)),
    "ellipsis_implicit": ("...ij,jk", (2, 3, 4), (4, 5)),
    "ellipsis_of_ones": ("...i,...i->...", (2, 1, 4), (1, 3, 4)),
    "diagonal": ("iij,jk->ik", (3, 3, 4), (4, 2)),
}


def result(equation: str, *shapes: tuple[int, ...]) -> str:
    """The declaration of an equation's output."""
    shape = np.einsum(equation, *(np.zeros(shape) for shape in shapes)).shape
    return f"float{list(shape) or ''} y"


for name, (equation, left, right) in EQUATIONS.items():
    y, node = result(equation, left, right), f'{{ y = Einsum<equation="{equation}">(x, w) }}'
    x, w = f"float{list(left)} x", f"float{list(right)} w"
    case(f"einsum_{name}", f"({x}, {w}) => ({y}) {node}", {"x": left, "w": right})
    case(f"einsum_{name}_constant", f"({x}) => ({y}) {node}", {"x": left}, w=signal(right, 1))
case(
    "einsum_constant_first",
    '(float[4,5] x) => (float[5,3] y) { y = Einsum<equation="ij,jk->ki">(w, x) }',
    {"x": (4, 5)},
    w=signal((3, 4), 1),
)
for name, equation, shape in (
    ("trace", "ii->", (4, 4)),
    ("diagonal", "iji->ji", (3, 4, 3)),
    ("sum", "ijk->k", (2, 3, 4)),
    ("transpose", "ijk->kij", (2, 3, 4)),
):
    text = f'(float{list(shape)} x) => ({result(equation, shape)}) {{ y = Einsum<equation="{equation}">(x) }}'
    case(f"einsum_{name}_alone", text, {"x": shape})
case(
    "einsum_three",
    '(float[3,4] x, float[4,5] w, float[3,5] v) => (float[3] y) { y = Einsum<equation="ij,jk,ik->i">(x, w, v) }',
    {"x": (3, 4), "w": (4, 5), "v": (3, 5)},
)
case(
    "matmul_double",
    "(float[2,3,4] x, float[2,4,5] w) => (float[2,3,5] y) "
    "{ a = Cast<to=11>(x) b = Cast<to=11>(w) c = MatMul(a, b) y = Cast<to=1>(c) }",
    {"x": (2, 3, 4), "w": (2, 4, 5)},
)
case(
    "matmul_integers",
    "(float[3,400] x) => (float[3,2] y) "
    "{ h = Mul(x, s) a = Cast<to=6>(h) c = MatMul(a, w) d = Mod(c, m) y = Cast<to=1>(d) }",
    {"x": (3, 400)},
    s=np.array(1e5, np.float32),
    m=np.array([1000], np.int32),
    w=(signal((400, 2), 1) * 100).astype(np.int32),
)
case(
    "gemm_double",
    "(float[3,4] x, float[5,4] w, float[5] v) => (float[3,5] y) "
    "{ a = Cast<to=11>(x) b = Cast<to=11>(w) e = Cast<to=11>(v) "
    "c = Gemm<alpha=0.5, beta=2.0, transB=1>(a, b, e) y = Cast<to=1>(c) }",
    {"x": (3, 4), "w": (5, 4), "v": (5,)},
)
