"""The project's own stream operators: kept context, real Fourier transforms, overlap-add."""

from __future__ import annotations

from ....kernels.opcodes import Binary
from ....kernels.packing_spectrum import fft_tables
from ...graph.ir import STREAM_DOMAIN
from ..builder import Builder
from ..view import View
from .registry import Lowering, rule


@rule("Keep", domain=STREAM_DOMAIN, keeps_range=True)
def keep(node: Lowering, builder: Builder) -> View:
    """The last `count` steps of before along `axis`, then the new ones; zeros before the first step."""
    x = node.view(0)
    axis, count = node.attribute("axis") % x.rank, node.attribute("count")
    lead = (slice(None),) * axis
    shape = [count if a == axis else size for a, size in enumerate(x.shape)]
    kept = builder.state(shape)
    y = builder.allocate(node.output_shape())
    builder.copy(kept, y[(*lead, slice(0, count))])
    builder.copy(x, y[(*lead, slice(count, None))])
    builder.copy(y[(*lead, slice(y.shape[axis] - count, None))], kept)
    return y


@rule("RealFft", domain=STREAM_DOMAIN)
def real_fft(node: Lowering, builder: Builder) -> View:
    """[..., n] -> [..., n // 2 + 1, 2]."""
    x = node.view(0)
    size = x.shape[-1]
    y = builder.allocate(node.output_shape())
    rows = x.size // size
    target = y.reshape((rows, *y.shape[-2:]))
    assert target is not None  # y is dense
    tables = builder.constant(fft_tables(size))
    builder.emit("real_fft", x=builder.reshape(x, (rows, size)), tables=tables, y=target)
    return y


@rule("InverseRealFft", domain=STREAM_DOMAIN)
def inverse_real_fft(node: Lowering, builder: Builder) -> View:
    """[..., n // 2 + 1, 2] -> [..., n], scaled by 1 / n; n is the attribute `length`."""
    x = node.view(0)
    size = node.attribute("length")
    y = builder.allocate(node.output_shape())
    rows = y.size // size
    target = y.reshape((rows, size))
    assert target is not None  # y is dense
    tables = builder.constant(fft_tables(size))
    builder.emit("inverse_real_fft", x=builder.reshape(x, (rows, *x.shape[-2:])), tables=tables, y=target)
    return y


@rule("OverlapAdd", domain=STREAM_DOMAIN)
def overlap_add(node: Lowering, builder: Builder) -> View:
    """Frames [..., n], one a step, each `hop` after the last -> the next `hop` finished samples [..., hop]."""
    x = node.view(0)
    hop, size = node.attribute("hop"), x.shape[-1]
    if hop >= size:
        return x[..., :size]
    tail = builder.state((*x.shape[:-1], size - hop))
    total = builder.allocate(x.shape)
    builder.emit("binary", operator=Binary.ADD, a=x[..., : size - hop], b=tail, y=total[..., : size - hop])
    builder.copy(x[..., size - hop :], total[..., size - hop :])
    builder.copy(total[..., hop:], tail)
    return total[..., :hop]
