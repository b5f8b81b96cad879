"""Element-wise instructions as chains: fewer of them, the same bits, and never across what a chain can not hold."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plan.networks import assert_matches, compile_model, parse, run_program, signal
from wavetile.engine.plan import compile as compiling

X = {"x": (3, 40), "s": (3, 1)}
HEAD = "(float[3,40] x, float[3,1] s) => "

# Name: body, and what its program counts.
CASES = {
    "a run": (f"{HEAD}(float[3,40] y) {{ a = Mul(x, s) b = Add(a, x) c = Sigmoid(b) y = Sub(c, x) }}", {"chain": 1}),
    "a value that is read again": (
        f"{HEAD}(float[3,40] y) {{ a = Exp(x) b = Mul(a, s) c = Add(a, b) y = Mul(c, a) }}",
        {"chain": 1},
    ),
    "two results": (
        f"{HEAD}(float[3,40] y, float[3,40] z) {{ a = Neg(x) y = Mul(a, s) b = Abs(a) z = Add(b, x) }}",
        {"chain": 1},
    ),
    "three results are too many": (
        f"{HEAD}(float[3,40] y, float[3,40] z, float[3,40] w) {{ y = Neg(x) z = Mul(y, s) w = Add(y, z) }}",
        {"chain": 1, "unary": 0, "binary": 1},
    ),
    "turned before it is read": (
        "(float[4,4] x) => (float[4,4] y) { a = Neg(x) t = Transpose(a) b = Add(a, t) y = Relu(b) }",
        {"chain": 1, "unary": 1},
    ),
    "another shape": (f"{HEAD}(float[3,40] y) {{ a = Sigmoid(s) y = Mul(x, a) }}", {"unary": 1, "chain": 1}),
    "a choice": (f"{HEAD}(float[3,40] y) {{ c = Less(x, s) a = Neg(x) y = Where(c, a, s) }}", {"chain": 1}),
    "powers of numbers": (
        "(float[3,40] x) => (float[3,40] y) { a = Abs(x) b = Pow(a, p) y = Neg(b) }",
        {"chain": 1, "binary": 0},
    ),
    "powers of tensors stay alone": (
        f"{HEAD}(float[3,40] y) {{ a = Abs(x) b = Pow(a, s) y = Neg(b) }}",
        {"chain": 0, "binary": 1},
    ),
}


def network(name: str) -> tuple:
    body, counts = CASES[name]
    constants = {"p": np.array(1.7, np.float32)} if "p)" in body else {}
    model = parse(body, constants=constants)
    feeds = {value.name: signal([d.dim_value for d in value.type.tensor_type.shape.dim]) for value in model.graph.input}
    return model, {key: value for key, value in feeds.items() if key not in constants}, counts


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", CASES)
def test_against_onnxruntime(name: str, backend: str) -> None:
    model, feeds, counts = network(name)
    assert_matches(model, feeds, backend)
    found = compile_model(model, feeds).kernel_counts()
    assert {kernel: found[kernel] for kernel in counts} == counts


@pytest.mark.parametrize("name", CASES)
def test_no_bit_changes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, feeds, _ = network(name)
    fused = run_program(compile_model(model, feeds), feeds, "cpu")
    monkeypatch.setattr(compiling, "fuse_chains", lambda builder: None)
    program = compile_model(model, feeds)
    assert program.kernel_counts()["chain"] == 0
    for key, value in run_program(program, feeds, "cpu").items():
        assert value.tobytes() == fused[key].tobytes()


def test_more_inputs_than_registers() -> None:
    names = [f"x{index}" for index in range(9)]
    inputs = ", ".join(f"float[5,7] {name}" for name in names)
    steps = " ".join(f"s{i} = Add({'x0' if i == 1 else f's{i - 1}'}, x{i})" for i in range(1, 9))
    model = parse(f"({inputs}) => (float[5,7] y) {{ {steps} y = Neg(s8) }}")
    feeds = {name: signal((5, 7), seed) for seed, name in enumerate(names)}
    assert_matches(model, feeds, "cpu")
    assert compile_model(model, feeds).kernel_counts()["chain"] == 2
