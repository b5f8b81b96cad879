"""What the scheduler has computed of one model, in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .deadlines import Outcome
from .histogram import TimeHistogram


@dataclass(slots=True)
class BatchCount:
    """Batches of one size, and how long they computed in all."""

    batches: int = 0
    compute_ns: int = 0


@dataclass(slots=True)
class ModelCounts:
    """Frames of one model. Whoever adds and reads holds the scheduler's lock."""

    frames: int = 0
    """Computed ones."""
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    """What became of all frames, also of those that were not computed."""
    queue: TimeHistogram = field(default_factory=TimeHistogram)
    """What each computed frame waited for compute, from the arrival of its last sample."""
    compute: TimeHistogram = field(default_factory=TimeHistogram)
    """What each computed frame took, as long as its batch."""
    end_to_end: TimeHistogram = field(default_factory=TimeHistogram)
    """From the arrival of a frame's last sample until its result was on its way to the client; of all frames."""
    by_size: dict[int, BatchCount] = field(default_factory=dict)
    """Streams in a batch -> such batches."""

    def add_batch(self, queue_ns: Sequence[int], compute_ns: int) -> None:
        """Count one batch: what each of its frames waited, and how long it computed."""
        size = len(queue_ns)
        self.frames += size
        self.queue.add(queue_ns)
        self.compute.add([compute_ns] * size)
        batch = self.by_size.setdefault(size, BatchCount())
        batch.batches += 1
        batch.compute_ns += compute_ns

    def add_outcomes(self, outcomes: Iterable[Outcome]) -> None:
        """Count what became of some frames."""
        for outcome in outcomes:
            self.outcomes[outcome] += 1

    def merge(self, other: ModelCounts) -> None:
        """Count all that `other` has counted."""
        self.frames += other.frames
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] += count
        self.queue.merge(other.queue)
        self.compute.merge(other.compute)
        self.end_to_end.merge(other.end_to_end)
        for size, batch in other.by_size.items():
            mine = self.by_size.setdefault(size, BatchCount())
            mine.batches += batch.batches
            mine.compute_ns += batch.compute_ns

    def copy(self) -> ModelCounts:
        """The same, from now on counted apart."""
        copied = ModelCounts()
        copied.merge(self)
        return copied

    @property
    def queue_ns(self) -> int:
        """What the computed frames waited, in all."""
        return self.queue.total_ns

    @property
    def compute_ns(self) -> int:
        """How long batches computed, in all."""
        return sum(batch.compute_ns for batch in self.by_size.values())

    @property
    def batches(self) -> int:
        """Batches of all sizes."""
        return sum(batch.batches for batch in self.by_size.values())

    @property
    def frame_compute_ns(self) -> int:
        """What the frames took, each as long as its batch."""
        return sum(size * batch.compute_ns for size, batch in self.by_size.items())
