"""NVIDIA Triton as `nvidia-pytriton` brings it: a Python callable with one onnxruntime session, state by sequence.

Triton's dynamic batcher gathers the requests that wait; the callable gets them together, and runs a network that takes
several streams at once in one call. States are kept by the sequence's number, which comes as an input: the callable is
told of no sequence parameters.
"""

from __future__ import annotations

import importlib
import signal
import socket
import sys
from typing import Any

import numpy as np

from tests.benchmarks.servers.networks import Network, load
from tests.benchmarks.servers.serving import READY

MAX_BATCH = 64


class Streams:
    """The callable."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._states: dict[int, Any] = {}
        self._nothing = np.zeros(network.hop_samples if network.name == "gtcrn" else 1, np.float32)

    def __call__(self, requests: list[Any]) -> list[dict[str, np.ndarray]]:
        """Each request is one hop of one sequence; `phase` is 1 at its start, 2 at its end, else 0."""
        answers: list[np.ndarray] = [self._nothing] * len(requests)
        waiting = list(range(len(requests)))
        while waiting:
            # A sequence that sent two hops is in two calls: the second one needs the state that the first one leaves.
            turn = {int(requests[index]["sequence"][0, 0]): index for index in reversed(waiting)}
            waiting = [index for index in waiting if index not in turn.values()]
            self._step(turn, requests, answers)
        return [{"result": answer[None]} for answer in answers]

    def _step(self, turn: dict[int, int], requests: list[Any], answers: list[np.ndarray]) -> None:
        phases = {sequence: int(requests[index]["phase"][0, 0]) for sequence, index in turn.items()}
        states = [self._network.begin() if phases[sequence] == 1 else self._states[sequence] for sequence in turn]
        # Copied, for states keep them, and this memory is used again.
        hops = [requests[index]["audio"][0].copy() for index in turn.values()]
        results = self._network.step(states, hops)
        for sequence, index, state, numbers in zip(turn, turn.values(), states, results, strict=True):
            self._states[sequence] = state
            if phases[sequence] == 2:
                del self._states[sequence]
            if numbers is not None:
                answers[index] = numbers


def main(name: str) -> None:
    """Serve the model until the process is ended."""
    # Not installed beside wavetile: it needs an older NumPy.
    config_module: Any = importlib.import_module("pytriton.model_config")
    triton_module: Any = importlib.import_module("pytriton.triton")
    Tensor, ModelConfig = config_module.Tensor, config_module.ModelConfig

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # ends Triton's processes too
    network = load(name)
    ports = _free_ports(3)
    host = "127.0.0.1"
    config = triton_module.TritonConfig(
        http_address=host, http_port=ports[0], grpc_address=host, grpc_port=ports[1], metrics_address=host,
        metrics_port=ports[2],
    )  # fmt: skip
    size = network.hop_samples if network.name == "gtcrn" else 1
    with triton_module.Triton(config=config) as triton:
        triton.bind(
            name,
            Streams(network),
            inputs=[
                Tensor(name="audio", dtype=np.float32, shape=(network.hop_samples,)),
                Tensor(name="sequence", dtype=np.int64, shape=(1,)),
                Tensor(name="phase", dtype=np.int32, shape=(1,)),
            ],
            outputs=[Tensor(name="result", dtype=np.float32, shape=(size,))],
            config=ModelConfig(max_batch_size=MAX_BATCH, batcher=config_module.DynamicBatcher(preserve_ordering=True)),
            strict=False,
        )
        triton.run()
        print(f"{READY}{host}:{ports[1]}", flush=True)
        triton.serve()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    main(sys.argv[1])
