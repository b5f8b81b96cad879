"""The messages of wavetile.v1 that the peers answer with: the same fields as wavetile's own."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.servers.networks import RATE_HZ, Network
from wavetile.proto.v1 import wavetile_pb2 as pb

METHOD = "/wavetile.v1.StreamService/Stream"


def started(network: Network) -> pb.StreamResponse:
    """A stream has begun."""
    return pb.StreamResponse(
        started=pb.StreamStarted(
            model=network.name,
            kind=pb.MODEL_KIND_AUDIO,
            sample_rate_hz=RATE_HZ,
            channels=1,
            hop_samples=network.hop_samples,
            model_sample_rate_hz=RATE_HZ,
            first_frame_samples=network.first_frame_samples,
        )
    )


def result(network: Network, frame: int, numbers: np.ndarray, compute_ns: int = 0) -> pb.StreamResponse:
    """A frame's result: audio of a denoiser, the probability of a detector."""
    message = pb.StreamResult(sequence_number=frame, first_frame_index=frame, frame_count=1, compute_time_ns=compute_ns)
    if network.name == "gtcrn":
        message.audio = numbers.tobytes()
        message.first_sample_index = frame * network.hop_samples
    else:
        message.values.add(name="probability", shape=numbers.shape, numbers=numbers.tolist())
    return pb.StreamResponse(result=message)
