"""Scans along the streaming axis: streamed in random chunks they give what onnxruntime makes of the whole signal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from tests.plan.networks import parse, run_onnxruntime, signal
from wavetile.engine.errors import LimitError, ModelError, UnsupportedError
from wavetile.engine.graph import load_network, specialise
from wavetile.engine.graph.limits import DEFAULT_LIMITS, Limits
from wavetile.engine.plan.streaming import StreamingAxis, StreamPlan, certify, find_axes
from wavetile.engine.plan.streaming.registry import STREAM_RULES
from wavetile.engine.session.axis_stream import AxisStream

AVERAGE = """Scan<num_scan_inputs=1, scan_input_axes=[{axis}], scan_output_axes=[{axis}],
    body = cell (float[1,4] s, float[1,4] e) => (float[1,4] n, float[1,4] o)
    {{ a = Mul(s, decay) b = Mul(e, rest) n = Add(a, b) o = Identity(n) }}>"""
"""An exponential moving average, along an axis of [1, time, 4] or so."""
RATES = {"z": signal((1, 4)), "decay": np.array(0.9, np.float32), "rest": np.array(0.1, np.float32)}

GRU = """Scan<num_scan_inputs=1,
    body = cell (float[2,3] h, float[2,4] e) => (float[2,3] n, float[2,3] o) {
        wx = MatMul(e, w) rh = MatMul(h, r)
        x1, x2, x3 = Split<axis=1>(wx) h1, h2, h3 = Split<axis=1>(rh)
        u0 = Add(x1, h1) u = Sigmoid(u0) v0 = Add(x2, h2) v = Sigmoid(v0)
        c0 = Mul(v, h3) c1 = Add(x3, c0) c = Tanh(c1)
        d = Sub(h, c) m = Mul(u, d) n = Add(c, m) o = Neg(n)
    }>"""
"""A gated recurrent unit by hand, over [time, 2, 4]."""

RUNNING_MEAN = """Scan<num_scan_inputs=1,
    body = cell (float[4] s, int64 i, float[4] e) => (float[4] n, int64 j, float[4] o) {
        n = Add(s, e) j = Add(i, one) k = Cast<to=1>(j) o = Div(n, k)
    }>"""

PAIRS = """Scan<num_scan_inputs=2, scan_input_axes=[2, -1], scan_output_axes=[0, -1],
    body = cell (float[1,2] s, float[1,2] e, float[1,2] f) => (float[1,2] n, float[1,2] o, float[1,2] p)
    { t = Tanh(f) a = Mul(s, t) n = Add(a, e) o = Sub(n, g) p = Add(n, bias) }>"""
"""Two values of [1, 2, time], of unlike delays; two outputs, along the first and the last axis."""

LOOPED = """(float[1,T,4] x) => (float[1,T,4] y) {{ S = Shape(x) T = Gather<axis=0>(S, one) empty = SequenceEmpty()
    last, all = Loop<body = cell (int64 i, bool c, float[1,4] s, seq(float[?,?,?]) q)
    => (bool d, float[1,4] n, seq(float[?,?,?]) r) {{ d = Identity(yes) a = Mul(s, decay) b = Slice(x, zero, top, zero)
        e = Gather<axis=1>(b, i) n = Add(a, e) {append} }}>(T, yes, z, empty) {collect} }}"""
"""A decaying sum as torch writes a loop that collects a list, over [1, time, 4]."""
BOUNDS = {"one": np.array(1), "zero": np.array([0]), "top": np.array([1 << 62]), "yes": np.array(True)}
CHANNELS = {"channels": np.array([1])}

NETWORKS: dict[str, onnx.ModelProto] = {
    "a moving average": parse(
        f"(float[1,T,4] x) => (float[1,T,4] y) {{ last, y = {AVERAGE.format(axis=1)}(z, x) }}", constants=RATES
    ),
    "a recurrent unit": parse(
        f"(float[T,2,4] x) => (float[T,2,3] y) {{ last, y = {GRU}(h0, x) }}",
        constants={"h0": signal((2, 3), 1), "w": signal((4, 9), 2), "r": signal((3, 9), 3)},
    ),
    "a count in integers": parse(
        f"(float[T,4] x) => (float[T,4] y) {{ last, count, y = {RUNNING_MEAN}(s0, i0, x) }}",
        constants={"s0": np.zeros(4, np.float32), "i0": np.array(0), "one": np.array(1)},
    ),
    "convolutions and two in a row": parse(
        f"""(float[1,2,T] x) => (float[1,4,U] y) {{
            A = Conv<pads=[1, 1], strides=[2]>(x, k) B = Transpose<perm=[0, 2, 1]>(A)
            last, C = {AVERAGE.format(axis=1)}(z, B) D = Tanh(C)
            final, E = {AVERAGE.format(axis=-2)}(z, D)
            F = Transpose<perm=[0, 2, 1]>(E) y = Conv<pads=[0, 4], dilations=[2]>(F, l) }}""",
        constants=RATES | {"k": signal((4, 2, 3), 4), "l": signal((4, 4, 3), 5)},
    ),
    "two inputs, two outputs": parse(
        f"""(float[1,2,T] x) => (float[T,1,2] y, float[1,2,T] v) {{
            A = Conv<pads=[0, 2]>(x, k) g = Neg(bias) last, y, v = {PAIRS}(s0, x, A) }}""",
        constants={"s0": signal((1, 2)), "bias": signal((1, 2), 1), "k": signal((2, 2, 3), 2)},
    ),
    "a flag of the first step, and outputs that nobody takes": parse(
        """(float[T,2] x) => (float[T,2] y) { last, flag, unread, y, rest = Scan<num_scan_inputs=1,
        body = cell (float[2] s, bool f, float[2] e) => (float[2] n, bool g, float[2] p, float[2] o, float[2] q) {
            a = Mul(s, half) b = Add(a, e) n = Where(f, e, b) g = Identity(no) o = Tanh(n) p = Neg(n) q = Exp(n)
        }>(z, yes, x) }""",
        constants={"z": signal((2,)), "half": np.array(0.5, np.float32), "no": np.array(False), "yes": np.array(True)},
    ),
    "a body that asks how many features there are": parse(
        """(float[T,2] x) => (float[T,2] y) { last, y = Scan<num_scan_inputs=1,
        body = cell (float[2] s, float[2] e) => (float[2] n, float[2] o)
        { a = Shape(x) b = Gather(a, one) c = Cast<to=1>(b) n = Add(s, e) o = Div(n, c) }>(z, x) }""",
        constants={"z": signal((2,)), "one": np.array(1)},
    ),
    "a scan in a scan": parse(
        """(float[T,3,2] x) => (float[T,3,2] y) { last, y = Scan<num_scan_inputs=1,
        body = outer (float[2] s, float[3,2] e) => (float[2] n, float[3,2] o) {
            n, o = Scan<num_scan_inputs=1, body = inner (float[2] t, float[2] f) => (float[2] m, float[2] p)
            { a = Mul(t, s) b = Add(a, f) m = Tanh(b) p = Neg(m) }>(s, e) }>(z, x) }""",
        constants={"z": signal((2,))},
    ),
    "a loop that concatenates": parse(
        LOOPED.format(
            append="f = Unsqueeze(n, channels) r = SequenceInsert(q, f)",
            collect="y = ConcatFromSequence<axis=1>(all)",
        ),
        constants=RATES | BOUNDS | CHANNELS,
    ),
    "a loop that stacks and counts": parse(
        LOOPED.format(
            append="j = Cast<to=1>(i) f = Sub(n, j) r = SequenceInsert(q, f)",
            collect="y = ConcatFromSequence<axis=-2, new_axis=1>(all)",
        ),
        constants=RATES | BOUNDS,
    ),
    "a loop over two values": parse(
        """(float[T,4] x) => (float[T,4] y) { S = Shape(x) T = Gather<axis=0>(S, zero) A = Sigmoid(x)
            last, B = Loop<body = cell (int64 i, bool c, float[4] s) => (bool c, float[4] n, float[4] o) {
                e = Gather<axis=0>(x, i) f = Gather<axis=0>(A, i) a = Mul(s, f) n = Add(a, e) o = Tanh(n)
            }>(T, , z) y = Neg(B) }""",
        constants={"z": signal((4,)), "zero": np.array(0)},
    ),
    "an input that is everywhere the same": parse(
        f"""(float[1,2,T] x) => (float[T,1,2] y) {{
            S = Shape(x) A = ConstantOfShape<value = float[1] {{0.5}}>(S) g = Neg(bias)
            last, y, v = {PAIRS}(s0, x, A) }}""",
        constants={"s0": signal((1, 2)), "bias": signal((1, 2), 1)},
    ),
}


def planned(model: onnx.ModelProto, step: int | None = None, limits: Limits = DEFAULT_LIMITS) -> StreamPlan:
    """Plan the network along the open dimensions of its input x."""
    network = load_network(model.SerializeToString(), limits=limits)
    dims = [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    axes = [StreamingAxis(name, {"x": dim}) for dim, name in enumerate(dims) if isinstance(name, str)]
    sizes = {"x": tuple(size if isinstance(size, int) else 1 for size in dims)}
    bindings = find_axes(lambda bound: specialise(network, bound, whole_scans=True), sizes, axes)
    return StreamPlan(bindings, [step] * len(axes))


def streamed(plan: StreamPlan, x: np.ndarray, backend: str, seed: int) -> dict[str, np.ndarray]:
    """What comes out of a stream of random chunks, empty ones among them."""
    dim = plan.bindings.dim("x", 0)
    stream = AxisStream(plan, backend=backend, poisoned=True)
    cuts = np.sort(np.random.default_rng(seed).integers(0, x.shape[dim] + 1, 6))
    parts = [stream.process({"x": part}) for part in np.split(x, cuts, dim)] + [stream.flush()]
    dims = plan.bindings.dims
    return {name: np.concatenate([part[name] for part in parts], dims[name][0]) for name in parts[-1]}


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("step", [None, 5])
@pytest.mark.parametrize("name", NETWORKS)
def test_random_chunks_give_the_numbers_of_the_whole(name: str, step: int | None, backend: str) -> None:
    model = NETWORKS[name]
    plan = planned(model, step)
    for seed, length in enumerate((2, 12, 31)):
        x = signal(plan.bindings.shape("x", [length]), seed)
        whole = run_onnxruntime(model, {"x": x}, as_written=True)
        made = streamed(plan, x, backend, seed)
        for value, expected in zip(model.graph.output, whole, strict=True):
            np.testing.assert_allclose(made[value.name], expected, atol=1e-5, err_msg=f"{value.name} of {length}")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_certificate_proves_it(name: str) -> None:
    assert certify(planned(NETWORKS[name])).max_difference < 1e-5


def test_outputs_may_be_left_out() -> None:
    """onnxruntime wants a name for each."""
    model = NETWORKS["a flag of the first step, and outputs that nobody takes"]
    left_out = onnx.ModelProto()
    left_out.CopyFrom(model)
    left_out.graph.node[0].output[:] = ["", "", "", "y"]
    expected, made = (streamed(planned(each, 3), signal((17, 2)), "cpu", 1)["y"] for each in (model, left_out))
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_states_that_are_not_carried_fail_the_certificate(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for op in ("Scan", "Loop"):
        monkeypatch.setitem(STREAM_RULES, ("", op), replace(STREAM_RULES["", op], cut=None))
    with pytest.raises(ModelError, match="differs from the whole"):
        certify(planned(NETWORKS[name]))


FIRST = {"first": np.array([0], np.int64)}
ACCUMULATED = """(float[T,2] x) => (float[T,2] y) {{ {before} last, {made} = Scan<num_scan_inputs=1{more},
    body = cell (float[2] s, float[2] e) => (float[2] n, float[2] o) {{ {body} }}>({start}, x) {after} }}"""
"""A sum of all that has come, over [time, 2], and what stands in the way of it."""


def accumulated(
    body: str = "n = Add(s, e) o = Identity(n)",
    *,
    more: str = "",
    before: str = "",
    start: str = "z",
    after: str = "",
    made: str = "y",
) -> onnx.ModelProto:
    text = ACCUMULATED.format(body=body, more=more, before=before, start=start, after=after, made=made)
    return parse(text, constants={"z": signal((2,))} | FIRST)


REFUSED = {
    "backwards": (
        accumulated(more=", scan_input_directions=[1]"),
        r"Scan 'Scan_0': it goes over 'x' backwards: its first step needs the last element of 'T', .*Model\.windows",
    ),
    "put together backwards": (
        accumulated(more=", scan_output_directions=[1]"),
        "it puts 'y' together backwards: the first element is made of the last one of 'T'",
    ),
    "the whole signal at each step": (
        accumulated("m = ReduceMax<axes=[0], keepdims=0>(x) n = Add(s, e) o = Sub(n, m)"),
        "its body reads the whole of 'x' at each step, which is as long as 'T'",
    ),
    "a state as long as the signal": (
        parse(
            """(float[T,2] x) => (float[T,2] y) { S = Shape(x) Z = ConstantOfShape(S) last, y = Scan<num_scan_inputs=1,
            body = cell (float[N,2] s, float[2] e) => (float[N,2] n, float[2] o)
            { n = Add(s, e) o = ReduceMean<axes=[0], keepdims=0>(n) }>(Z, x) }"""
        ),
        "its state 'Z' is as long as 'T'",
    ),
    "the length": (
        accumulated(
            "n = Add(s, e) o = Div(n, C)",
            before="S = Shape(x) N = Gather(S, first) C = Cast<to=1>(N)",
        ),
        "a step is not the same for every length of 'T'",
    ),
    "the last state": (
        accumulated(after="y = Add(A, last)", made="A"),
        "its last state 'last' is read, and is known at the end of 'T'",
    ),
    "a state that grows": (
        parse(
            """(float[T,2] x) => (float[T,2] y) { last, y = Scan<num_scan_inputs=1,
            body = cell (float[N,2] s, float[2] e) => (float[M,2] n, float[2] o)
            { f = Unsqueeze(e, first) n = Concat<axis=0>(s, f) o = ReduceMax<axes=[0], keepdims=0>(n) }>(z, x) }""",
            constants={"z": signal((1, 2))} | FIRST,
        ),
        r"Scan 'last, y' takes 64 steps, and 128 .*: its state 'z' is float32\[1, 2\] at first, and \S+ 2\] later",
    ),
}


STEPPED = """(float[T,2] x) => (float[T,2] y) {{ S = Shape(x) T = Gather<axis=0>(S, zero) M = Sub(T, one) {before}
    last, all = Loop<body = cell (int64 i, bool c, {carried} s) => (bool d, {carried} n, float[2] o) {{
    d = Identity(yes) {body} }}>({trips}, yes, {start}) y = Neg(all) }}"""
"""A Loop along [time, 2], and what stands in the way of it."""


def stepped(
    body: str, *, carried: str = "float[2]", before: str = "", trips: str = "T", start: str = "z"
) -> onnx.ModelProto:
    text = STEPPED.format(body=body, carried=carried, before=before, trips=trips, start=start)
    return parse(text, constants={"z": signal((2,)), "zero": np.array(0), "one": np.array(1), "yes": np.array(True)})


SUM = "e = Gather<axis=0>(x, i) n = Add(s, e)"
REFUSED |= {
    "a loop that looks back to the beginning": (
        stepped(f"{SUM} f = Gather<axis=0>(x, zero) o = Sub(n, f)"),
        r"Loop 'Loop_\d+': its body reads the whole of 'x' at each step, which is as long as 'T'",
    ),
    "a loop that stops before the end": (
        stepped(f"{SUM} o = Tanh(n)", trips="M"),
        "Loop 'last, all' takes 63 steps, and 127 when 'T' is longer, .* of no value that has one for each step; what",
    ),
    "a loop that writes into a signal": (
        stepped(
            "e = Gather<axis=0>(x, i) j = Unsqueeze(i, first) k = Unsqueeze(j, first) f = Unsqueeze(e, first) "
            "n = ScatterND(s, k, f) o = Tanh(e)",
            carried="float[T,2]",
            before="first = Constant<value_ints = [0]>() Z = ConstantOfShape(S)",
            start="Z",
        ),
        r"Loop 'Loop_\d+': its state 'Z' is as long as 'T'",
    ),
    "a loop whose sequence is read in other ways": (
        parse(
            LOOPED.format(
                append="f = Unsqueeze(n, channels) r = SequenceInsert(q, f)",
                collect="f0 = SequenceAt(all, zero0) c0 = ConcatFromSequence<axis=1>(all) y = Add(c0, f0)",
            ),
            constants=RATES | BOUNDS | CHANNELS | {"zero0": np.array(0)},
        ),
        "Loop 'last, all' takes 64 steps, .*: it carries the sequence 'q'; an empty one .* would work",
    ),
    "a loop over a sequence": (
        stepped("e = SequenceAt(L, i) n = Add(s, e) o = Tanh(n)", before="L = SplitToSequence<keepdims=0>(x)"),
        "Loop 'last, all' takes 64 steps, .*: its body reads the sequence 'L'; a tensor would work",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_exact_is_refused_by_name(name: str) -> None:
    model, words = REFUSED[name]
    with pytest.raises(UnsupportedError, match=words):
        planned(model)


def test_a_last_state_that_is_an_output_is_refused() -> None:
    model = accumulated()
    model.graph.output.append(onnx.helper.make_tensor_value_info("last", onnx.TensorProto.FLOAT, [2]))
    with pytest.raises(UnsupportedError, match="its last state 'last' is an output, and is known at the end of 'T'"):
        planned(model)


def rows(axes: str) -> onnx.ModelProto:
    """A running sum from row to row of an image."""
    return parse(
        f"""(float[{axes}] x) => (float[{axes}] y) {{ S = Shape(x) N = Slice(S, one, two) Z = ConstantOfShape(N)
        last, y = Scan<num_scan_inputs=1, body = cell (float[W] s, float[W] e) => (float[W] n, float[W] o)
        {{ n = Add(s, e) o = Tanh(n) }}>(Z, x) }}""",
        constants={"one": np.array([1]), "two": np.array([2])},
    )


def test_an_image_streams_by_rows_and_not_in_tiles() -> None:
    assert certify(planned(rows("H,5"))).max_difference < 1e-5
    with pytest.raises(UnsupportedError, match="its steps go along another axis, and each takes the whole of 'W'"):
        planned(rows("H,W"))


def test_a_scan_over_another_axis_takes_part_in_the_stream_step_by_step() -> None:
    """It runs over features, for every moment by itself; its nodes are planned like all others."""
    model = parse(
        """(float[T,3,2] x) => (float[T,2] y) { S = Shape(x) N = Slice(S, zero, one) M = Concat<axis=0>(N, two)
        Z = ConstantOfShape(M) y, rows = Scan<num_scan_inputs=1, scan_input_axes=[1],
        body = cell (float[T,2] s, float[T,2] e) => (float[T,2] n, float[T,2] o)
        { a = Add(s, e) n = Tanh(a) o = Identity(n) }>(Z, x) }""",
        constants={"zero": np.array([0]), "one": np.array([1]), "two": np.array([2])},
    )
    plan = planned(model)
    assert [node.op for node in plan.bindings.graph].count("Tanh") == 3
    assert certify(plan).max_difference < 1e-6


def test_a_step_of_too_many_nodes_is_refused() -> None:
    plan = planned(accumulated(), 41, Limits(nodes=80))
    with pytest.raises(LimitError, match=r"Scan 'Scan_0': 41 steps at once .*, 40 would work"):
        AxisStream(plan).process({"x": signal((41, 2))})
