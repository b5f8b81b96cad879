"""Layers of random networks that stream, each with everything about it drawn, and the joining of branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.plan.random_recurrences import recurrent, scanned
from tests.plan.random_streams import Drawn, Network, Value

FOREVER = int(np.iinfo(np.int64).max)
Layer = Callable[[Network, Value], Value]


def flat(windows: list, what: str) -> list[int]:
    return [getattr(window, what) for window in windows]


def pads_of(windows: list) -> list[int]:
    return flat(windows, "before") + flat(windows, "after")


def conv(net: Network, value: Value, *, same: bool = False) -> Value:
    windows = net.windows(same=same, most_padding=net.choice((0, 0, 2)))
    groups = net.choice([1, value.channels])
    channels = groups * net.integer(1, 3) if groups == 1 else groups
    fan_in = value.channels // groups
    kernel = flat(windows, "kernel")
    weights = net.weights(channels, fan_in, *kernel, fan_in=fan_in * int(np.prod(kernel)))
    name = net.node(
        "Conv",
        value.name,
        weights,
        *([net.weights(channels)] if net.integer(0, 1) else []),
        kernel_shape=kernel,
        strides=flat(windows, "stride"),
        dilations=flat(windows, "dilation"),
        pads=pads_of(windows),
        group=groups,
    )
    return net.derived(value, name, net.slid(windows), channels)


def max_pool(net: Network, value: Value, *, same: bool = False) -> Value:
    windows = net.windows(same=same)
    if any(max(window.before, window.after) >= window.kernel for window in windows):  # onnxruntime refuses that
        windows = net.windows(same=same, dilates=False)
    for axis, length, window in zip(value.axes, value.lengths, windows, strict=True):
        # onnxruntime's maximum of padding alone is float32's least number, ours is -inf.
        net.require(axis, lambda total, length=length, window=window: length(total) >= window.reach)
    ceil = not same and bool(net.integer(0, 1))
    name = net.node(
        "MaxPool",
        value.name,
        kernel_shape=flat(windows, "kernel"),
        strides=flat(windows, "stride"),
        dilations=flat(windows, "dilation"),
        pads=pads_of(windows),
        ceil_mode=int(ceil),
    )
    return net.derived(value, name, net.slid(windows, ceil=ceil))


def average_pool(net: Network, value: Value, *, same: bool = False) -> Value:
    windows = net.windows(same=same, dilates=False)
    name = net.node(
        "AveragePool",
        value.name,
        kernel_shape=flat(windows, "kernel"),
        strides=flat(windows, "stride"),
        pads=pads_of(windows),
        count_include_pad=net.integer(0, 1),
    )
    return net.derived(value, name, net.slid(windows))


def conv_transpose(net: Network, value: Value) -> Value:
    windows = net.windows()
    extra = [net.integer(0, window.stride - 1) for window in windows]
    groups = net.choice([1, value.channels])
    channels = net.integer(1, 3)
    kernel = flat(windows, "kernel")
    name = net.node(
        "ConvTranspose",
        value.name,
        net.weights(value.channels, channels, *kernel, fan_in=value.channels * int(np.prod(kernel)) // groups),
        kernel_shape=kernel,
        strides=flat(windows, "stride"),
        dilations=flat(windows, "dilation"),
        pads=pads_of(windows),
        output_padding=extra,
        group=groups,
    )
    spread = [
        lambda length, window=window, more=more: (
            (length - 1) * window.stride + window.reach - window.before - window.after + more
        )
        for window, more in zip(windows, extra, strict=True)
    ]
    return net.derived(value, name, spread, channels * groups)


def resize(net: Network, value: Value) -> Value:
    factors = [net.choice((1, 2, 2, 3)) for _ in range(net.rank)]
    mode = net.choice(("nearest", "linear", "cubic"))
    coordinates = net.choice(("half_pixel", "asymmetric", "pytorch_half_pixel"))
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        attributes["nearest_mode"] = net.choice(("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"))
    if mode == "cubic":
        attributes["cubic_coeff_a"] = net.choice((-0.75, -0.5))
    source = value.name
    lifted = mode == "cubic" and net.rank == 1  # onnxruntime knows bicubic alone
    if lifted:
        source = net.node("Unsqueeze", source, net.constant([2]))
    scales = net.constant(np.array([1, 1, *([1] if lifted else []), *factors], np.float32))
    name = net.node("Resize", source, "", scales, **attributes)
    if lifted:
        name = net.node("Squeeze", name, net.constant([2]))
    return net.derived(value, name, [lambda length, factor=factor: length * factor for factor in factors])


def pad(net: Network, value: Value) -> Value:
    mode = net.choice(("constant", "reflect", "edge"))
    cuts = mode == "constant" and net.integer(0, 3) == 0
    before, after = ([net.integer(-3, 0) if cuts else net.integer(0, 4) for _ in range(net.rank)] for _ in range(2))
    if mode == "reflect":
        for axis, length, most in zip(value.axes, value.lengths, map(max, before, after), strict=True):
            net.require(axis, lambda total, length=length, most=most: length(total) > most)
    pads = net.constant([0, 0, *before, 0, 0, *after])
    more = [net.constant(np.array(net.choice((0.0, 0.5)), np.float32))] if mode == "constant" else []
    return net.derived(value, net.node("Pad", value.name, pads, *more, mode=mode), longer(before, after))


def longer(before: list[int], after: list[int]) -> list[Callable[[int], int]]:
    return [lambda length, more=one + other: length + more for one, other in zip(before, after, strict=True)]


def cut(net: Network, value: Value) -> Value:
    starts = [net.integer(0, 4) for _ in range(net.rank)]
    cuts = [net.integer(0, 3) for _ in range(net.rank)]
    steps = [net.choice((1, 1, 2, 3)) for _ in range(net.rank)]
    ends = [-number if number else FOREVER for number in cuts]
    axes = list(range(2, 2 + net.rank))
    name = net.node("Slice", value.name, *map(net.constant, (starts, ends, axes, steps)))
    taken = [
        lambda length, start=start, less=less, step=step: -(-(length - less - start) // step)
        for start, less, step in zip(starts, cuts, steps, strict=True)
    ]
    return net.derived(value, name, taken)


def beside_constants(net: Network, value: Value) -> Value:
    """Concat with one number over and over, or with any numbers, before and behind along one dimension."""
    dim = net.integer(0, net.rank - 1)
    number = net.choice((0.0, 0.5, None))
    parts = [net.integer(0, 4), net.integer(0, 4)]
    names = [value.name]
    for place, size in zip((0, -1), parts, strict=True):
        if not size:
            continue
        shape = [1, value.channels, *(size if each == dim else 1 for each in range(net.rank))]
        name = net.weights(*shape) if number is None else net.constant(np.full(shape, number, np.float32))
        if net.rank > 1:  # as long as the value along the other dimension, and the same all along it
            whole = net.node("Shape", value.name)
            sizes = [net.constant([each]) for each in shape]
            sizes[3 - dim] = net.node("Gather", whole, net.constant([3 - dim]), axis=0)
            name = net.node("Expand", name, net.node("Concat", *sizes, axis=0))
        names.insert(0 if place == 0 else len(names), name)
    if len(names) == 1:
        return pad(net, value)
    more = [sum(parts) if each == dim else 0 for each in range(net.rank)]
    return net.derived(value, net.node("Concat", *names, axis=2 + dim), longer(more, [0] * net.rank))


def folded(net: Network, value: Value) -> Value:
    """Groups of k elements become channels."""
    dim, k = net.rank - 1, net.choice((2, 3, 4))
    if not net.divides(value, dim, k):
        return conv(net, value)
    kept = [None] * dim
    split = net.node("Reshape", value.name, net.shape(value, 1, value.channels, *kept, -1, k))
    turned = net.node("Transpose", split, perm=[0, 1, net.rank + 2, *range(2, net.rank + 2)])
    channels = value.channels * k
    name = net.node("Reshape", turned, net.shape(value, 1, channels, *kept, -1))
    return net.derived(value, name, [lambda length: length] * dim + [lambda length: length // k], channels)


def folded_but_for_the_rest(net: Network, value: Value) -> Value:
    """As many elements are cut off as all lengths leave over, and the others are taken in groups."""
    bounds = [net.rest] * net.rank, [FOREVER] * net.rank, list(range(2, 2 + net.rank))
    name = net.node("Slice", value.name, *map(net.constant, bounds))
    return folded(net, net.derived(value, name, [lambda length: length - net.rest] * net.rank))


def unfolded(net: Network, value: Value) -> Value:
    """Channels become groups of elements."""
    dim = net.rank - 1
    k = next((k for k in (3, 2, 1) if value.channels % k == 0), 1)
    kept = [None] * dim
    split = net.node("Reshape", value.name, net.shape(value, 1, value.channels // k, k, *kept, -1))
    turned = net.node("Transpose", split, perm=[0, 1, *range(3, net.rank + 3), 2])
    name = net.node("Reshape", turned, net.shape(value, 1, value.channels // k, *kept, -1))
    return net.derived(value, name, [lambda length: length] * dim + [lambda length: length * k], value.channels // k)


def turned(net: Network, value: Value) -> Value:
    """Two axes change places."""
    if net.rank == 1:
        return per_element(net, value)
    name = net.node("Transpose", value.name, perm=[0, 1, 3, 2])
    result = Value(name, value.channels, value.axes[::-1], value.lengths[::-1])
    net.values.append(result)
    return result


def per_element(net: Network, value: Value) -> Value:
    """Matrices and norms over the channels of each element."""
    last = list(range(2, net.rank + 2))
    name = net.node("Transpose", value.name, perm=[0, *last, 1])
    channels = value.channels
    kind = net.choice(("MatMul", "LayerNormalization", "Softmax"))
    if kind == "MatMul":
        channels = net.integer(1, 4)
        name = net.node("MatMul", name, net.weights(value.channels, channels, fan_in=value.channels))
    elif kind == "Softmax":
        name = net.node("Softmax", name, axis=-1)
    else:
        name = net.node("LayerNormalization", name, net.weights(channels), net.weights(channels), axis=-1, epsilon=0.1)
    name = net.node("Transpose", name, perm=[0, net.rank + 1, *range(1, net.rank + 1)])
    return net.derived(value, name, [lambda length: length] * net.rank, channels)


def spectrum(net: Network, value: Value) -> Value:
    """Frames of the sum of all channels; real and imaginary parts become channels."""
    if net.rank == 2:
        return recurrent(net, value)
    mono = net.node("ReduceSum", value.name, net.constant([1]), keepdims=1)
    samples = net.node("Transpose", mono, perm=[0, 2, 1])
    length = net.choice((4, 6, 8))
    step = net.integer(1, length)
    window = net.constant(np.hanning(length + 2)[1:-1].astype(np.float32))
    name = net.node("STFT", samples, net.constant(np.array(step)), window, onesided=1)
    bins = length // 2 + 1
    turned = net.node("Transpose", name, perm=[0, 2, 3, 1])
    name = net.node("Reshape", turned, net.constant([1, 2 * bins, -1]))
    return net.derived(value, name, [lambda total: (total - length) // step + 1 if total >= length else 0], 2 * bins)


def elementwise(net: Network, value: Value) -> Value:
    op = net.choice(("Relu", "Tanh", "Sigmoid", "LeakyRelu", "BatchNormalization", "PRelu", "Elu", "Add"))
    inputs = []
    if op == "BatchNormalization":
        inputs = [net.weights(value.channels) for _ in range(3)]
        inputs.append(net.constant(np.linspace(0.5, 2, value.channels, dtype=np.float32)))
    elif op in ("PRelu", "Add"):
        inputs = [net.weights(value.channels, *[1] * net.rank)]
    return net.derived(value, net.node(op, value.name, *inputs), [lambda length: length] * net.rank)


def pooled_and_grown(net: Network, value: Value) -> Value:
    """Half the size, a convolution, and the old size again."""
    if not all(net.divides(value, dim, 2) for dim in range(net.rank)):
        return conv(net, value, same=True)
    rank = net.rank
    small = net.node("MaxPool", value.name, kernel_shape=[2] * rank, strides=[2] * rank)
    small = conv(net, net.derived(value, small, [lambda length: length // 2] * rank), same=True)
    double: list[Callable[[int], int]] = [lambda length: 2 * length] * rank
    if net.integer(0, 1):
        scales = net.constant(np.array([1, 1, *[2] * rank], np.float32))
        grown = net.node("Resize", small.name, "", scales, mode=net.choice(("nearest", "linear")))
        return net.derived(small, grown, double)
    weights = net.weights(small.channels, small.channels, *[2] * rank, fan_in=small.channels)
    grown = net.node("ConvTranspose", small.name, weights, kernel_shape=[2] * rank, strides=[2] * rank)
    return net.derived(small, grown, double)


def joined(net: Network, value: Value) -> Value:
    """A value and an earlier one, made equally long if that takes no more than a few elements: residual or channels."""
    others = []
    for other in net.values[:-1]:
        difference = net.difference(value, other)
        if other.name != value.name and difference is not None and max(map(abs, difference)) <= 12:
            others.append((other, difference))
    if not others:
        branch = net.choice((conv, max_pool, average_pool))(net, value, same=True)
        others, value = [(value, [0] * net.rank)], branch
    other, difference = net.choice(others)
    if any(difference):
        first = [net.integer(min(0, less), max(0, less)) for less in difference]
        pads = net.constant([0, 0, *first, 0, 0, *(less - one for less, one in zip(difference, first, strict=True))])
        grows = [less >= 0 for less in difference]
        if len(set(grows)) > 1:
            return value
        name = net.node("Pad", other.name, pads)
        other = net.derived(other, name, [lambda length, less=less: length + less for less in difference])
    if other.channels in (1, value.channels) and net.integer(0, 1):
        name = net.node(net.choice(("Add", "Mul", "Sub")), *net.draw(st.permutations([value.name, other.name])))
        channels = value.channels
    else:
        name = net.node("Concat", value.name, other.name, axis=1)
        channels = value.channels + other.channels
    return net.derived(value, name, [lambda length: length] * net.rank, channels)


LAYERS: tuple[Layer, ...] = (
    conv,
    max_pool,
    average_pool,
    conv_transpose,
    resize,
    pad,
    cut,
    beside_constants,
    folded,
    unfolded,
    turned,
    per_element,
    recurrent,
    scanned,
    spectrum,
    elementwise,
    pooled_and_grown,
    joined,
    joined,
    joined,
)
UNCARRIED = tuple(layer for layer in LAYERS if layer not in (recurrent, scanned, spectrum))
"""Layers that know nothing of what was before; on two axes a spectrum, or a Scan, is replaced by a recurrent layer."""


@st.composite
def networks(
    draw: st.DrawFn,
    rank: int,
    most_layers: int = 6,
    longest: int = 60,
    inputs: int | None = None,
    layers: Sequence[Layer] = LAYERS,
) -> Drawn:
    """A random network of these layers and the lengths that it takes; inputs: how many it has, if not any number."""
    net = Network(draw, rank, inputs)
    if len(net.inputs) == 2:
        name = net.node("Concat", *net.inputs, axis=1)
        net.derived(net.values[0], name, [lambda length: length] * rank, 2 * net.channels)
    if net.rest:
        net.grow(folded_but_for_the_rest)
    for _ in range(net.integer(1, most_layers)):
        net.grow(net.choice(layers))
    if len(net.values) == len(net.inputs):
        net.grow(elementwise)
    made = net.values[len(net.inputs) :]
    outputs = [made[-1]]
    if len(made) > 1 and net.integer(0, 3) == 0:
        outputs.append(net.choice(made[:-1]))
    return Drawn(net, outputs, longest)
