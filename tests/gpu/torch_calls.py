"""Ways to call a network in torch on a card: from host to host, or timed by the card's events; eager, or as a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import onnx

from .torch_network import TorchNetwork

torch: Any = import_module("torch")

DTYPES = {"": torch.float32, "tf32": torch.float32, "float16": torch.float16}
"""What multiplies -> what is kept."""


class OnCard:
    """A network on a card, with its inputs and outputs there; images have their channels last, as cuDNN likes."""

    def __init__(self, model: onnx.ModelProto, inputs: Mapping[str, np.ndarray], unit: str) -> None:
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = unit == "tf32"
        self._network = TorchNetwork(model, device="cuda", dtype=DTYPES[unit], channels_last=True)
        self._inputs = {name: self._network.tensor(array) for name, array in inputs.items()}
        self._host_inputs = {name: tensor.cpu().pin_memory() for name, tensor in self._inputs.items()}
        self._outputs: dict[str, Any] = self._network(self._inputs)
        self._host_outputs = {
            name: torch.empty_like(tensor, device="cpu").pin_memory() for name, tensor in self._outputs.items()
        }

    def results(self) -> dict[str, np.ndarray]:
        """What it gives for its inputs, in float32."""
        return {name: tensor.float().cpu().numpy() for name, tensor in self._network(self._inputs).items()}

    def eager(self) -> None:
        """Compute, an operator after the other."""
        self._outputs = self._network(self._inputs)

    def graph(self) -> Callable[[], None]:
        """Compute by replaying a CUDA graph."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.eager()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self._network(self._inputs)

        def replay() -> None:
            graph.replay()
            self._outputs = outputs

        return replay

    def host_to_host(self, compute: Callable[[], None]) -> Callable[[int], None]:
        """A call whose inputs come from page-locked memory of the host, and whose outputs are there at the end."""

        def call(step: int) -> None:
            for name, tensor in self._host_inputs.items():
                self._inputs[name].copy_(tensor, non_blocking=True)
            compute()
            for name, tensor in self._host_outputs.items():
                tensor.copy_(self._outputs[name], non_blocking=True)
            torch.cuda.synchronize()

        return call

    def microseconds(self, compute: Callable[[], None], repeats: int) -> Callable[[], float]:
        """What a call takes on the card by its events, as a mean of `repeats` in a row."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

        def timed() -> float:
            start.record()
            for _ in range(repeats):
                compute()
            end.record()
            end.synchronize()
            return 1000 * start.elapsed_time(end) / repeats

        return timed
