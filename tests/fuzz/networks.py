"""Mutated ONNX files: each is loaded, bound, compiled and run, or refused in the project's own words."""

from __future__ import annotations

import importlib
import random
from pathlib import Path

import numpy as np
import onnx

from tests.fuzz.mutate import mutate_fields, mutated_bytes
from tests.fuzz.trial import Trial
from tests.plan.cases import CASES
from tests.plan.networks import parse
from wavetile.engine.errors import WavetileError
from wavetile.engine.graph import Limits, Network, load_network
from wavetile.engine.models.evaluator import Evaluator

MOST_ELEMENTS = 1 << 16
"""Of an input that is made up; networks that want more are bound to what they say, and not run."""

LIMITS = Limits(file_bytes=1 << 22, tensor_bytes=1 << 24, initializer_bytes=1 << 24, nodes=2000)

FREE_DIMENSION = 3


def corpus() -> list[bytes]:
    """Small sound networks, of every operator that there are one-line cases of."""
    for path in sorted((Path(__file__).parents[1] / "plan").glob("cases_*.py")):
        importlib.import_module(f"tests.plan.{path.stem}")
    return [
        parse(body, opset=opset, constants=constants).SerializeToString()
        for body, _, constants, opset in CASES.values()
    ]


def prepare() -> Trial:
    """A trial is a network of the corpus with some fields changed, some bytes, or both."""
    sound = corpus()

    def trial(number: int) -> str:
        return use(damaged(random.Random(number), sound))

    return trial


def damaged(rng: random.Random, sound: list[bytes]) -> bytes:
    """A file that is not what it was."""
    data = rng.choice(sound)
    if rng.random() < 0.8:
        model = onnx.ModelProto.FromString(data)
        if rng.random() < 0.3:
            _splice(rng, model, onnx.ModelProto.FromString(rng.choice(sound)))
        mutate_fields(rng, model.graph if rng.random() < 0.9 else model)
        data = model.SerializeToString()
    return mutated_bytes(rng, data) if rng.random() < 0.3 else data


def _splice(rng: random.Random, model: onnx.ModelProto, other: onnx.ModelProto) -> None:
    """Have the network go on into another one."""
    model.graph.node.extend(other.graph.node)
    model.graph.initializer.extend(other.graph.initializer)
    if other.graph.node and model.graph.node:
        node = rng.choice(list(model.graph.node))
        names = [name for each in model.graph.node for name in each.output]
        if node.input and names:
            node.input[rng.randrange(len(node.input))] = rng.choice(names)


def use(data: bytes) -> str:
    """Load a file, and run its network if it has one; how that ended."""
    try:
        network = load_network(data, limits=LIMITS)
        inputs = _inputs(network)
        if inputs is None:
            return "loaded"
        with np.errstate(all="ignore"):
            outputs = Evaluator(network, "cpu", threads=1).run(inputs)
    except WavetileError as error:
        return type(error).__name__
    assert list(outputs) == list(network.outputs)
    return "ran"


def _inputs(network: Network) -> dict[str, np.ndarray] | None:
    """Numbers for every input; None if there would be too many of them."""
    rng = np.random.default_rng(0)
    made = {}
    for name, declared in network.inputs.items():
        if declared.dims is None:
            return None
        shape = [dim if isinstance(dim, int) else FREE_DIMENSION for dim in declared.dims]
        if np.prod([float(dim) for dim in shape]) > MOST_ELEMENTS:
            return None
        made[name] = rng.integers(0, 4, shape).astype(declared.dtype)
    return made
