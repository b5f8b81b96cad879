"""Collects the instructions of a program while rules lower one node after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ...kernels.contract import LOOP_RANK, Field, Space, Tensor, TensorRef, fits_layout
from ...kernels.schemas import KERNEL_BY_NAME
from .constants import Constants
from .target import CPU, Target
from .view import Buffer, View, type_name

_ALIKE_FOR_UNSIGNED = frozenset(
    {"copy_wide", "cumulate", "gather_at", "matmul_general", "narrow_integer", "non_zero", "scatter_at", "where_wide"}
)
"""Kernels that do to uint64 what they do to the int64 of the same words: they move them, or add modulo 2^64."""


@dataclass(eq=False)
class Instruction:
    """One kernel call; tensors are views until memory is laid out."""

    kernel: str
    operands: dict[str, Any]
    node: str
    """Name of the graph node that it came from."""
    part: int | None = None
    """Which of the parts side by side it is, if it is one (`partition`)."""

    def tensors(self) -> list[tuple[Tensor, View]]:
        """The tensor operands that are present, with their schema fields."""
        operands = self.operands
        return [(f, operands[f.name]) for f in tensor_fields(self.kernel) if operands.get(f.name)]

    def writes(self) -> list[View]:
        """The tensor operands that the kernel writes, scratch among them."""
        return [view for field, view in self.tensors() if field.written]

    def reads(self) -> list[View]:
        """The tensor operands that the kernel only reads."""
        return [view for field, view in self.tensors() if not field.written]


class Builder:
    """Allocates buffers and emits instructions; sees to it that every operand has the strides its kernel takes."""

    def __init__(self, target: Target = CPU) -> None:
        self.target = target
        self.instructions: list[Instruction] = []
        self.states: list[tuple[Buffer, np.ndarray]] = []
        """State buffers with their initial values."""
        self.node = ""
        self._constants = Constants()

    def allocate(self, shape: Sequence[int], *, dtype: DTypeLike = np.float32, pinned: bool = False) -> View:
        """A new dense buffer in the arena: [*shape] of a carrier."""
        phantom = np.empty(int(np.prod(shape, dtype=np.int64)), dtype)
        return View.whole(Buffer(Space.ARENA, phantom, pinned), shape)

    def constant(self, array: np.ndarray) -> View:
        """An array (of a carrier, or int32) in the weights; equal ones, as of unrolled steps, lie there once."""
        data = np.ascontiguousarray(array).reshape(-1)
        buffer = self._constants.find(data)
        if buffer is None:
            buffer = Buffer(Space.WEIGHTS, data)
            self._constants.add(buffer)
        return View.whole(buffer, array.shape)

    def state(self, shape: Sequence[int], initial: np.ndarray | None = None, dtype: DTypeLike = np.float32) -> View:
        """A tensor [*shape] of a carrier in the stream's slot; starts as `initial`, or as zeros."""
        value = np.zeros(shape, dtype) if initial is None else np.asarray(initial, dtype).reshape(shape)
        buffer = Buffer(Space.STATE, np.empty(value.size, dtype), pinned=True)
        self.states.append((buffer, value))
        return View.whole(buffer, shape)

    def emit(self, kernel: str, **operands: Any) -> None:
        """Append an instruction; inputs whose strides do not fit are copied first, outputs afterwards.

        One that writes no element is left out. Scratch is added where the kernel's schema asks for it. Tensors of a
        kernel that loops over any shape come as views of one shape, of any rank: their axes are merged when memory is
        laid out, so that until then every pass sees the axes that the rule saw. An operand `unsigned` follows from
        the views: it is 1 if one of them holds uint64.

        Raises:
            ValueError: more than LOOP_RANK axes would remain of a looped shape, or the kernel does not take uint64.
        """
        schema = KERNEL_BY_NAME[kernel]
        unsigned = any(isinstance(value, View) and value.dtype == np.uint64 for value in operands.values())
        if any(field.name == "unsigned" for field in schema.fields):
            operands["unsigned"] = int(unsigned)
        elif unsigned and kernel not in _ALIKE_FOR_UNSIGNED:
            raise ValueError(f"{kernel} of uint64 is not there; cast to int64, or to a float, before it")
        written = [
            operands[f.name] for f in schema.fields if isinstance(f, Tensor) and f.written and f.name in operands
        ]
        if all(view is None or not view.size for view in written):
            return
        if is_looped(kernel):
            looped = [operands[f.name] for f in schema.fields if _loops_over(f) and operands.get(f.name)]
            _check_loop_rank(loop_rank(*looped), looped)
        for field in schema.fields:
            if isinstance(field, Tensor) and (view := operands.get(field.name)) is not None:
                field.check_type(kernel, type_name(view.dtype))
        late_copies: list[tuple[View, View]] = []
        for field in schema.fields:
            view = operands.get(field.name)
            if not isinstance(field, Tensor) or view is None or fits_layout(field.layout, view.shape, view.strides):
                continue
            dense = self.allocate(view.shape, dtype=view.dtype)
            if field.written:
                late_copies.append((dense, view))
            else:
                self.copy(view, dense)
            operands[field.name] = dense
        if schema.scratch is not None:
            shapes = {k: _shape_only(v) if isinstance(v, View) else v for k, v in operands.items()}
            operands["scratch"] = self.allocate((schema.scratch(shapes),))
        self.instructions.append(Instruction(kernel, operands, self.node))
        for source, target in late_copies:
            self.copy(source, target)

    def copy(self, source: View, target: View) -> None:
        """target = source; shapes broadcast. What has more axes than a kernel loops over is copied in parts."""
        source = source.broadcast(target.shape)
        if loop_rank(source, target) > LOOP_RANK:
            for index in range(target.shape[0]):
                self.copy(source[index], target[index])
        elif target.size:
            self.emit("copy" if target.dtype == np.float32 else "copy_wide", x=source, y=target)

    def fill(self, target: View, value: float) -> None:
        """target = value everywhere."""
        if target.dtype != np.float32:
            self.copy(self.constant(np.array(value, target.dtype)), target)
        elif target.size:
            self.emit("fill", y=target, value=value)

    def dense(self, view: View) -> View:
        """The view itself if it is contiguous in C order, else a copy that is."""
        if fits_layout("dense", view.shape, view.strides):
            return view
        result = self.allocate(view.shape, dtype=view.dtype)
        self.copy(view, result)
        return result

    def reshape(self, view: View, shape: Sequence[int]) -> View:
        """The same elements in another shape; copies only where strides can not express it.

        Raises:
            ValueError: there are more or fewer of them.
        """
        reshaped = view.reshape(shape)
        if reshaped is not None:
            return reshaped
        dense = self.dense(view).reshape(shape)
        if dense is None:
            raise ValueError(f"{list(view.shape)} has {view.size} elements, which do not fit {list(shape)}")
        return dense


def _shape_only(view: View) -> TensorRef:
    return TensorRef(Space.ARENA, 0, view.shape, view.strides)


@cache
def tensor_fields(kernel: str) -> tuple[Tensor, ...]:
    """The operands of a kernel that are tensors."""
    return tuple(field for field in KERNEL_BY_NAME[kernel].fields if isinstance(field, Tensor))


@cache
def is_looped(kernel: str) -> bool:
    """Whether a kernel loops over any shape: its tensors of any strides all have LOOP_RANK axes."""
    ranks = {f.rank for f in KERNEL_BY_NAME[kernel].fields if isinstance(f, Tensor) and _loops_over(f)}
    return ranks == {LOOP_RANK}


def _loops_over(field: Field) -> bool:
    return isinstance(field, Tensor) and field.layout == "any"


def merged_operands(instruction: Instruction) -> dict[str, Any]:
    """An instruction's operands, views of a looped shape with their axes merged."""
    if not is_looped(instruction.kernel):
        return instruction.operands
    tensors = [(field, view) for field, view in instruction.tensors() if _loops_over(field)]
    merged = loop_views(*(view for _, view in tensors))
    return instruction.operands | {field.name: view for (field, _), view in zip(tensors, merged, strict=True)}


def merge_axes(*views: View) -> list[View]:
    """Views of one shape with axes of size 1 dropped and neighbours merged wherever all strides allow."""
    return _restrided(views, *_merged(views[0].shape, [view.strides for view in views]))


def loop_rank(*views: View) -> int:
    """How many axes remain of views of one shape when neighbours are merged as `loop_views` does."""
    return len(_loop_order(views)[0])


def loop_views(*views: View) -> list[View]:
    """Views of one shape as the loop tensors of an element-wise kernel: rank LOOP_RANK, axes merged.

    The innermost axis is one along which the last view (the written one) is contiguous, if there is such an axis.

    Raises:
        ValueError: more than LOOP_RANK axes remain.
    """
    sizes, strides = _loop_order(views)
    _check_loop_rank(len(sizes), views)
    missing = LOOP_RANK - len(sizes)
    return _restrided(views, (1,) * missing + sizes, [(0,) * missing + steps for steps in strides])


def _check_loop_rank(rank: int, views: Sequence[View]) -> None:
    if rank > LOOP_RANK:
        raise ValueError(f"{rank} axes remain of shape {views[0].shape}; at most {LOOP_RANK} can be looped over")


_Axes = tuple[tuple[int, ...], list[tuple[int, ...]]]
"""Sizes of the axes of some views, and the strides of each view."""


def _merged(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> _Axes:
    sizes: list[int] = []
    kept: list[list[int]] = [[] for _ in strides]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if sizes and all(steps[-1] == given[axis] * size for steps, given in zip(kept, strides, strict=True)):
            sizes[-1] *= size
            for steps, given in zip(kept, strides, strict=True):
                steps[-1] = given[axis]
        else:
            sizes.append(size)
            for steps, given in zip(kept, strides, strict=True):
                steps.append(given[axis])
    return tuple(sizes), [tuple(steps) for steps in kept]


def _loop_order(views: Sequence[View]) -> _Axes:
    """Neighbouring axes merged where all strides allow, the last view's smallest stride last."""
    sizes, strides = _merged(views[0].shape, [view.strides for view in views])
    order = sorted(range(len(sizes)), key=lambda axis: -abs(strides[-1][axis]))
    return _merged([sizes[axis] for axis in order], [[steps[axis] for axis in order] for steps in strides])


def _restrided(views: Sequence[View], sizes: Sequence[int], strides: Sequence[Sequence[int]]) -> list[View]:
    return [view.strided(view.offset, sizes, steps) for view, steps in zip(views, strides, strict=True)]
