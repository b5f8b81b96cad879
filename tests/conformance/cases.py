"""The cases of ONNX's conformance suite: loaded and compared by `onnx.backend.test` itself."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto
from onnx.backend.base import Backend
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner
from onnx.numpy_helper import to_array

from tests.conformance.skips import BOUNDARY, CASES, OPERATORS
from wavetile.engine.graph.limits import all_nodes

SUITES = ("node", "simple", "pytorch-converted", "pytorch-operator")


@dataclass(frozen=True)
class Case:
    """One network with its inputs and the outputs that they must give."""

    suite: str
    name: str
    source: TestCase

    @cached_property
    def model(self) -> ModelProto:
        """The network."""
        return self.source.model or onnx.load(self.folder / "model.onnx")

    @property
    def folder(self) -> Path:
        """Where the files of a case lie that is not made in memory."""
        assert self.source.model_dir is not None, f"{self.name} has no files"
        return Path(self.source.model_dir)

    @property
    def operator(self) -> str:
        """What the case is about: its operator, or for several the operator whose definition they are."""
        nodes = self.model.graph.node
        if len(nodes) == 1:
            return nodes[0].op_type
        return "(definitions)" if "_expanded" in self.name else "(networks)"

    @property
    def reason_to_skip(self) -> str | None:
        """Why the case is not run; None if it is."""
        if self.name in CASES:
            return CASES[self.name]
        for node in all_nodes(self.model):
            if node.op_type in OPERATORS:
                return f"{node.op_type} {OPERATORS[node.op_type]}"
        for value in (*self.model.graph.input, *self.model.graph.output):
            if (kind := kind_of(value)) in BOUNDARY:
                return BOUNDARY[kind]
        return None

    def data(self) -> Iterator[tuple[list[Any], list[Any]]]:
        """Inputs and expected outputs, set by set."""
        if self.source.data_sets is not None:
            for inputs, outputs in self.source.data_sets:
                yield [*map(as_array, inputs)], [*map(as_array, outputs)]
            return
        for folder in sorted(self.folder.glob("test_data_set_*")):
            inputs, outputs = (
                [to_array(read_tensor(folder / f"{kind}_{index}.pb")) for index in range(count(folder, kind))]
                for kind in ("input", "output")
            )
            yield inputs, outputs

    def check(self, backend: type[Backend]) -> None:
        """Run the case on a back end.

        Raises:
            AssertionError: an output is not what it must be.
        """
        prepared = backend.prepare(self.model, "CPU")
        assert prepared is not None, f"{backend.__name__} prepares nothing"
        for inputs, expected in self.data():
            Runner.assert_similar_outputs(
                expected, prepared.run(inputs), rtol=self.source.rtol, atol=self.source.atol, model_dir=None
            )


def kind_of(value: ValueInfoProto) -> str:
    """'tensor', 'string', 'sequence' or 'optional'."""
    kind = value.type.WhichOneof("value")
    if kind == "tensor_type" and value.type.tensor_type.elem_type == TensorProto.STRING:
        return "string"
    return kind.removesuffix("_type")


def as_array(value: Any) -> Any:
    return to_array(value) if isinstance(value, TensorProto) else value


def read_tensor(path: Path) -> TensorProto:
    return TensorProto.FromString(path.read_bytes())


def count(folder: Path, kind: str) -> int:
    return len(list(folder.glob(f"{kind}_*.pb")))


def all_cases() -> list[Case]:
    """Every case of every suite; making those of `node` computes their expected outputs, with overflows on purpose."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return [Case(suite, source.name, source) for suite in SUITES for source in load_model_tests(kind=suite)]
