"""Streams as sequences of Triton's ModelStreamInfer, for the load generator."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from tests.benchmarks.servers.networks import RATE_HZ, Network
from wavetile.clients.load.connection import prefixed
from wavetile.clients.load.plan import Plan
from wavetile.clients.load.wire import Answer
from wavetile.proto.inference.v2 import inference_pb2 as pb

START, MIDDLE, END = 1, 0, 2


class TritonWire:
    """One call a stream, one request a hop, one answer a request; see `triton.Streams` for the inputs."""

    path = "/inference.GRPCInferenceService/ModelStreamInfer"
    announces = False
    sample_rate_hz = float(RATE_HZ)

    def __init__(self, network: Network, signals: Sequence[np.ndarray]) -> None:
        self.chunk_samples = network.hop_samples
        self.hop_samples = float(network.hop_samples)
        self.clips = len(signals)
        self._name = network.name
        size = network.hop_samples
        self._hops = [
            [self._audio(signal[start : start + size]) for start in range(0, len(signal) - size + 1, size)]
            for signal in signals
        ]
        self._heads: dict[tuple[int, int], bytes] = {}

    def opening(self, plan: Plan) -> bytes:
        """Nothing: the first hop starts the sequence."""
        return b""

    def chunk(self, plan: Plan, index: int) -> bytes:
        """A request with the hop of that index."""
        hops = self._hops[plan.clip]
        return prefixed(self._head(plan.number, MIDDLE if index else START) + hops[index % len(hops)])

    def closing(self, plan: Plan) -> bytes:
        """One more hop, whose answer nobody counts, ends the sequence."""
        return prefixed(self._head(plan.number, END) + self._hops[plan.clip][0])

    def read(self, plan: Plan, data: bytes, frames: int, complete: int) -> Answer | int:
        """An answer, or an error."""
        response = pb.ModelStreamInferResponse.FromString(data)
        return Answer(1, missed=int(bool(response.error_message)))

    def _head(self, sequence: int, phase: int) -> bytes:
        """All of a request but its audio, which is the last of its raw inputs."""
        head = self._heads.get((sequence, phase))
        if head is None:
            request = pb.ModelInferRequest(model_name=self._name)
            for name, datatype, size in (("sequence", "INT64", 1), ("phase", "INT32", 1)):
                request.inputs.add(name=name, datatype=datatype, shape=[1, size])
            request.inputs.add(name="audio", datatype="FP32", shape=[1, self.chunk_samples])
            request.raw_input_contents.extend([struct.pack("<q", sequence), struct.pack("<i", phase)])
            head = self._heads[sequence, phase] = request.SerializeToString()
        return head

    def _audio(self, hop: np.ndarray) -> bytes:
        return pb.ModelInferRequest(raw_input_contents=[np.ascontiguousarray(hop, "<f4").tobytes()]).SerializeToString()
