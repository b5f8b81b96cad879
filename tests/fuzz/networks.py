"""Mutated ONNX files: each is loaded, bound, compiled and run, or refused in the project's own words.

One that runs gives the same bits whatever was in memory before, and what other runtimes give that take it too.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx

from tests.fuzz.comparison import difference
from tests.fuzz.mutate import mutate_fields, mutated_bytes
from tests.fuzz.quirks import is_quirk
from tests.fuzz.referee import Referee
from tests.fuzz.trial import Answer, Trial
from tests.plan.cases import CASES
from tests.plan.networks import parse
from wavetile.engine.errors import WavetileError
from wavetile.engine.graph import Limits, Network, load_network
from wavetile.engine.models import evaluator
from wavetile.engine.plan import Target, Workspace
from wavetile.kernels.host import HostProgram

MOST_ELEMENTS = 1 << 16
"""Of an input that is made up; networks that want more are bound to what they say, and not run."""

LIMITS = Limits(file_bytes=1 << 22, tensor_bytes=1 << 24, initializer_bytes=1 << 24, nodes=2000)

FREE_DIMENSION = 3

COUNTED = "damaged networks"

LARGEST_SANE = 1e9
"""Of a network's real numbers."""

POISONS = (0xFF, 0x5A)
"""Bytes that memory is full of before a network runs: NaN and -1 to all types, then large numbers."""


def corpus() -> list[bytes]:
    """Small sound networks, of every operator that there are one-line cases of."""
    for path in sorted((Path(__file__).parents[1] / "plan").glob("cases_*.py")):
        importlib.import_module(f"tests.plan.{path.stem}")
    return [
        parse(body, opset=opset, constants=constants).SerializeToString()
        for body, _, constants, opset in CASES.values()
    ]


class PoisonedWorkspace(Workspace):
    """Begins with memory that nothing has written full of one byte, and can be filled with another one."""

    made: ClassVar[list[PoisonedWorkspace]] = []

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.fill(POISONS[0])
        self.made.append(self)

    @property
    def memory(self) -> np.ndarray:
        assert isinstance(self._bound, HostProgram)
        return self._bound.arena

    def fill(self, byte: int) -> None:
        self.memory[:] = byte


def prepare() -> Trial:
    """A trial is a network of the corpus with some fields changed, some bytes, or both."""
    sound = corpus()
    evaluator.Workspace = PoisonedWorkspace  # pyright: ignore[reportPrivateImportUsage]
    referees = [Referee("onnxruntime"), Referee("onnx")]

    def trial(number: int) -> Answer:
        return use(damaged(random.Random(number), sound), np.random.default_rng(number), referees)

    return trial


def damaged(rng: random.Random, sound: list[bytes]) -> bytes:
    """A file that is not what it was."""
    data = rng.choice(sound)
    if rng.random() < 0.8:
        model = onnx.ModelProto.FromString(data)
        if rng.random() < 0.3:
            _splice(rng, model, onnx.ModelProto.FromString(rng.choice(sound)))
        if rng.random() < 0.4:
            _resize(rng, model.graph)
        else:
            mutate_fields(rng, model.graph if rng.random() < 0.9 else model)
        data = model.SerializeToString()
    return mutated_bytes(rng, data) if rng.random() < 0.2 else data


def _resize(rng: random.Random, graph: onnx.GraphProto) -> None:
    """Give inputs and constants other sizes, with as many numbers as they then need: all of it parses."""
    for _ in range(rng.randint(1, 2)):
        one = rng.choice([*graph.input, *graph.initializer])
        if isinstance(one, onnx.TensorProto):
            array = onnx.numpy_helper.to_array(one)
            if array.ndim:
                shape = list(array.shape)
                axis = rng.randrange(array.ndim)
                shape[axis] = _size(rng, shape[axis])
                one.CopyFrom(onnx.numpy_helper.from_array(np.resize(array, shape), one.name))
        elif dims := one.type.tensor_type.shape.dim:
            dim = rng.choice(dims)
            dim.dim_value = _size(rng, dim.dim_value)


def _size(rng: random.Random, before: int) -> int:
    return max(0, rng.choice((before - 1, before + 1, 2 * before, before // 2, 0, 1, 2)))


def _splice(rng: random.Random, model: onnx.ModelProto, other: onnx.ModelProto) -> None:
    """Have the network go on into another one."""
    model.graph.node.extend(other.graph.node)
    model.graph.initializer.extend(other.graph.initializer)
    if other.graph.node and model.graph.node:
        node = rng.choice(list(model.graph.node))
        names = [name for each in model.graph.node for name in each.output]
        if node.input and names:
            node.input[rng.randrange(len(node.input))] = rng.choice(names)


def use(data: bytes, rng: np.random.Generator, referees: Sequence[Referee] = ()) -> Answer:
    """Load a file, and run its network if it has one; how that ended. What it gives is compared with the referees."""
    counts = {COUNTED: 1}
    try:
        network = load_network(data, limits=LIMITS)
        inputs = _inputs(network, rng)
        if inputs is None:
            return Answer("loaded", counts)
        outputs = run_twice(evaluator.Evaluator(network, Target(), threads=1), inputs)
    except WavetileError as error:
        return Answer(type(error).__name__, counts)
    assert list(outputs) == list(network.outputs)
    return Answer("ran", counts, lambda: _compared(data, inputs, outputs, referees))


def run_twice(network: evaluator.Evaluator, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the network gives, whatever was in the memory that it had written nothing to."""
    PoisonedWorkspace.made.clear()
    with np.errstate(all="ignore"):
        outputs = network.run(inputs)
        for workspace in PoisonedWorkspace.made:
            workspace.fill(POISONS[1])
        again = network.run(inputs)
    for name, array in outputs.items():
        assert array.tobytes() == again[name].tobytes(), f"output {name} depends on memory that nothing has written"
    return outputs


def _compared(
    data: bytes, inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray], referees: Sequence[Referee]
) -> str:
    """By which referee the outputs are right. Raises AssertionError: they are wrong by all that take the network."""
    if not _is_sane(onnx.ModelProto.FromString(data)):
        return " on numbers that nobody computes with"
    if not all(array.size for array in inputs.values()):
        return " on nothing"
    wrong, words = [], ", and nobody else does"
    for referee in referees:
        theirs = referee.outputs(data, inputs)
        if theirs is None or len(theirs) != len(outputs):
            continue
        apart = difference(outputs, theirs)
        if not apart:
            return f" as {referee.runtime} does"
        if is_quirk(referee.runtime, data):
            words = f", and {referee.runtime} has a quirk there"
        else:
            wrong.append(f"{referee.runtime}: {apart}")
    assert not wrong, "; ".join(wrong)
    return words


def _is_sane(model: onnx.ModelProto) -> bool:
    """Whether sums of the network's numbers can not overflow, where what comes out follows from their order."""
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    tensors = [*model.graph.initializer, *(attribute.t for attribute in attributes if attribute.HasField("t"))]
    numbers = [np.array([attribute.f, *attribute.floats]) for attribute in attributes]
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in tensors]
    numbers += [array.astype(np.float64) for array in arrays if array.dtype.kind not in "iub"]
    return all(np.abs(array).max(initial=0.0) <= LARGEST_SANE for array in numbers)  # not of NaN


def _inputs(network: Network, rng: np.random.Generator) -> dict[str, np.ndarray] | None:
    """Numbers for every input, floats with and without fractions; None if there would be too many of them."""
    made = {}
    whole = rng.random() < 0.3
    for name, declared in network.inputs.items():
        if declared.dims is None:
            return None
        shape = [dim if isinstance(dim, int) else FREE_DIMENSION for dim in declared.dims]
        if np.prod([float(dim) for dim in shape]) > MOST_ELEMENTS:
            return None
        fractions = declared.dtype.kind == "f" and not whole
        made[name] = (rng.standard_normal(shape) if fractions else rng.integers(0, 4, shape)).astype(declared.dtype)
    return made
