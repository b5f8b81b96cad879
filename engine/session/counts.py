"""What the scheduler has computed of one model, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class BatchCount:
    """Batches of one size, and how long they computed in all."""

    batches: int = 0
    compute_ns: int = 0


@dataclass(slots=True)
class ModelCounts:
    """Frames of one model since the server's start."""

    frames: int = 0
    queue_ns: int = 0
    """What the frames waited, in all."""
    by_size: dict[int, BatchCount] = field(default_factory=dict)
    """Streams in a batch -> such batches."""

    def add(self, queue_ns: Sequence[int], compute_ns: int) -> None:
        """Count one batch: what each of its frames waited, and how long it computed."""
        self.frames += len(queue_ns)
        self.queue_ns += sum(queue_ns)
        batch = self.by_size.setdefault(len(queue_ns), BatchCount())
        batch.batches += 1
        batch.compute_ns += compute_ns

    @property
    def batches(self) -> int:
        """Batches of all sizes."""
        return sum(batch.batches for batch in self.by_size.values())

    @property
    def frame_compute_ns(self) -> int:
        """What the frames took, each as long as its batch."""
        return sum(size * batch.compute_ns for size, batch in self.by_size.items())
