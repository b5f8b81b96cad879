"""Counters of a model's requests, and the message that tells them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ....proto.inference.v2 import inference_pb2 as pb
from ...session.counts import ModelCounts


@dataclass(slots=True)
class Duration:
    """How often something happened, and how long it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """Count it once more."""
        self.count += 1
        self.ns += ns

    def message(self) -> pb.StatisticDuration:
        """The same for the wire."""
        return pb.StatisticDuration(count=self.count, ns=self.ns)


@dataclass(slots=True)
class RequestCounts:
    """Requests for one model by this protocol; of networks their evaluations too. For the event loop's thread."""

    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)
    last_ms: int = 0
    """Of the last request, since the epoch."""

    def answered(self, started_ns: int, ok: bool) -> None:
        """Count a request that came at `started_ns` of `time.monotonic_ns` and has its answer now."""
        (self.success if ok else self.fail).add(time.monotonic_ns() - started_ns)
        self.last_ms = time.time_ns() // 1_000_000


def statistics_message(
    name: str, version: str, requests: RequestCounts, frames: ModelCounts | None
) -> pb.ModelStatistics:
    """The statistics of one version of a network, or of a stream, whose `frames` the scheduler has counted."""
    queue, infer = requests.queue, requests.compute_infer
    executions = infer.count
    batches: list[pb.InferBatchStatistics] = []
    if frames is not None:
        queue = Duration(frames.frames, frames.queue_ns)
        infer = Duration(frames.frames, frames.frame_compute_ns)
        executions = frames.batches
        batches = [
            pb.InferBatchStatistics(batch_size=size, compute_infer=Duration(one.batches, one.compute_ns).message())
            for size, one in sorted(frames.by_size.items())
        ]
    return pb.ModelStatistics(
        name=name,
        version=version,
        last_inference=requests.last_ms,
        inference_count=infer.count,
        execution_count=executions,
        inference_stats=pb.InferStatistics(
            success=requests.success.message(),
            fail=requests.fail.message(),
            queue=queue.message(),
            compute_input=requests.compute_input.message(),
            compute_infer=infer.message(),
            compute_output=requests.compute_output.message(),
        ),
        batch_stats=batches,
    )
