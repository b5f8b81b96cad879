"""Every kernel says what its operands are, where it comes from, how its tensors may lie and what bounds its time."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable

import pytest

from wavetile.kernels import schemas
from wavetile.kernels.contract import LOOP_RANK, Kernel, Tensor
from wavetile.kernels.cpu import kernels as _native  # noqa: F401  (registers them)
from wavetile.kernels.cpu.native import NATIVE
from wavetile.kernels.reference import kernels as _definitions  # noqa: F401  (registers them)
from wavetile.kernels.reference.execute import DEFINITIONS
from wavetile.kernels.schemas.half import HALF

# "x, y: [batch, channels, height, width] float32; ..."
SHAPED = re.compile(r"^ *(\w+(?:, \w+)*): \[([^]]*)\]", re.MULTILINE)
SOURCE = re.compile(r"^ *Source: \S", re.MULTILINE)
BOUND = re.compile(r"^ *Bound by \S", re.MULTILINE)
ON_DEVICES = "conv_rounded"
"""A kernel that programs for the CPU never have."""
LAYOUT = re.compile(r"\b(?:strides?|contiguous|dense)\b")


def said_of(function: Callable[..., None]) -> str:
    """Return a function's docstring and its module's: what holds for a family is said once, above."""
    function = inspect.unwrap(function)
    return f"{inspect.getdoc(sys.modules[function.__module__])}\n\n{inspect.getdoc(function)}"


def rank_of(shape: str) -> int:
    """Return how many axes a shape in words has: "4 heads, count" has five, "rows, 2" two."""
    rank = 0
    for axis in shape.split(","):
        many = re.fullmatch(r"(\w+) (?:axes|batches|heads|kept|normalised|reduced)", axis.strip())
        rank += 1 if many is None else LOOP_RANK if many[1] == "LOOP_RANK" else int(many[1])
    return rank


def definition_of(kernel: Kernel) -> Callable[..., None]:
    """Return a kernel's definition; kernels of halved weights have the operands of their siblings."""
    return DEFINITIONS[kernel.name.removesuffix(HALF)]


@pytest.mark.parametrize("kernel", schemas.KERNELS, ids=lambda kernel: kernel.name)
def test_definitions_name_every_tensor_with_its_shape(kernel: Kernel) -> None:
    tensors = {field.name: field.rank for field in kernel.fields if isinstance(field, Tensor)}
    if kernel.scratch:  # memory for the native kernel, without a meaning
        del tensors["scratch"]
    shapes = SHAPED.findall(said_of(definition_of(kernel)))
    said = {name: rank_of(shape) for names, shape in shapes for name in names.split(", ")}
    assert {name: said.get(name) for name in tensors} == tensors


@pytest.mark.parametrize("kernel", schemas.KERNELS, ids=lambda kernel: kernel.name)
def test_definitions_name_their_source(kernel: Kernel) -> None:
    assert SOURCE.search(said_of(definition_of(kernel)))


@pytest.mark.parametrize("kernel", [k for k in schemas.KERNELS if k.name != ON_DEVICES], ids=lambda kernel: kernel.name)
def test_native_kernels_say_how_tensors_lie(kernel: Kernel) -> None:
    assert LAYOUT.search(said_of(NATIVE[kernel.name].function))


@pytest.mark.parametrize("name", sorted(NATIVE))
def test_native_kernels_say_what_bounds_them(name: str) -> None:
    assert BOUND.search(said_of(NATIVE[name].function))


@pytest.mark.parametrize(
    ("shape", "rank"), [("count", 1), ("batch, n // 2 + 1, 2", 3), ("4 heads, count", 5), ("LOOP_RANK axes", LOOP_RANK)]
)
def test_ranks_of_shapes_in_words(shape: str, rank: int) -> None:
    assert rank_of(shape) == rank
