"""What the server needs of a model: the door through which models are injected into it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np

from ..pixels import PixelNormalisation
from ..session import ImageFormat, ImageOutput, ImageResult
from ..session.kept_session import Copied
from ..session.scheduled import ScheduledSession
from ..session.scheduled_model import StepExecutor


class ModelKind(Enum):
    """The signal that a model runs on."""

    AUDIO = "audio"
    FEATURES = "features"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class TensorDescription:
    """An input or output of the network: its ONNX name, NumPy's name of its type, its axes ("1", "512", "time")."""

    name: str
    dtype: str
    shape: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What a model takes, gives and costs.

    Rates and delays are the model's own. `multiply_adds` is of one frame (of one image for image models), `state_bytes`
    of one stream and channel. `license` is the SPDX identifier of the weights' licence, empty when unknown.
    """

    name: str
    kind: ModelKind
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]
    operators: Mapping[str, int] = field(default_factory=dict)
    sample_rate_hz: int = 0
    hop_samples: int = 0
    delay_samples: int = 0
    feature_count: int = 0
    returns_audio: bool = False
    value_names: tuple[str, ...] = ()
    gives_events: bool = False
    """Whether something can happen in its signal that its streams tell (`SessionEvent`)."""
    multiply_adds: int = 0
    weight_bytes: int = 0
    state_bytes: int = 0
    license: str = ""
    pixels: PixelNormalisation | None = None
    """How an image's numbers become the network's, where that is known."""


class ServedSession(ScheduledSession, Protocol):
    """A live stream of a served model. `drain()` gives an object with the attributes of `SessionOutput`.

    `delay_samples` and `first_frame_samples` (those that complete the first frame) count at `sample_rate_hz`, or count
    feature frames.
    """

    sample_rate_hz: int
    channels: int
    delay_samples: int
    first_frame_samples: int


class ServedKeptSession(ServedSession, Protocol):
    """A session that takes snapshots of itself; see `KeptSession`."""

    taken: deque[Copied]
    on_close: Callable[[Copied], None] | None

    @property
    def most_snapshot_bytes(self) -> int:
        """No snapshot of it is larger."""
        ...

    def now(self) -> Copied:
        """How it stands, while nobody steps it."""
        ...

    def go_on_from(self, snapshot: bytes) -> None:
        """Go on where `snapshot` was taken, before anything is fed. Takes milliseconds; on any thread.

        Raises SnapshotError: it is of another stream, or of another version of the model.
        """
        ...


class SessionEvent(Protocol):
    """Something that happened: `kind` is "speech_start" or "speech_end", `sample` counts at the stream's rate."""

    @property
    def kind(self) -> str:
        """What happened."""
        ...

    @property
    def sample(self) -> int:
        """Input sample."""
        ...

    @property
    def seconds(self) -> float:
        """The same in seconds from the start."""
        ...

    @property
    def probability(self) -> float:
        """Of the frame that decided it."""
        ...


class SessionOutput(Protocol):
    """What a session's drain gives."""

    @property
    def samples(self) -> np.ndarray | None:
        """Audio `[n]` or `[n, channels]` float32; None where the model gives none."""
        ...

    @property
    def values(self) -> Mapping[str, np.ndarray]:
        """By name; the first axis counts frames."""
        ...

    @property
    def events(self) -> Sequence[SessionEvent]:
        """In the order of the signal."""
        ...


class ServedImages(Protocol):
    """A live stream of images, used by one thread at a time."""

    @property
    def outputs(self) -> Sequence[ImageOutput]:
        """What is known of the outputs before the first part."""
        ...

    @property
    def kept_bytes(self) -> int:
        """The most that an image keeps between its parts."""
        ...

    def put(self, z: int, y: int, x: int, pixels: np.ndarray) -> ImageResult:
        """Take a part `[1, channels, rows, columns]` or `[1, channels, slices, rows, columns]`. Raises SignalError."""
        ...

    def finish(self) -> ImageResult | None:
        """End the signal; None: nothing was left. Raises SignalError when an image is not complete."""
        ...


class ServedModel(Protocol):
    """A model that the server can serve; of images `describe` and `open_images`, of all others the rest."""

    def describe(self) -> ModelDescription:
        """Constant over the model's life; cheap."""
        ...

    def open_session(self, sample_rate_hz: int, channels: int, *, bypass: bool = False) -> ServedSession:
        """A new stream with zeroed state. Quick: runs on the event loop. Raises SignalError: it says what would work.

        With `bypass`, the stream's late frames may be bypassed; a model that returns anything but audio refuses that.

        For feature models `sample_rate_hz` is 0 and `channels` 1, and the session's "samples" are feature frames: it
        is fed `[frames, features]` float32.
        """
        ...

    def open_kept_session(
        self,
        sample_rate_hz: int,
        channels: int,
        *,
        bypass: bool = False,
        interval_frames: int,
    ) -> ServedKeptSession:
        """The same of a stream that takes a snapshot of itself each `interval_frames`."""
        ...

    def executor(self) -> StepExecutor:
        """A new workspace, ready to run at once (compiled and warm). State must live in the sessions, not in it."""
        ...

    def batch_costs(self, executor: StepExecutor) -> Mapping[int, float]:
        """Seconds that a batch takes on `executor`, by its lanes, as measured now; of some sizes, or of none.

        Takes some tenths of a second at most.
        """
        ...

    def open_images(self, form: ImageFormat, max_bytes: int) -> ServedImages:
        """A new stream of images, each of which keeps at most `max_bytes` between its parts, and computes one in them.

        May take as long as it takes to plan and prove the stream. Raises SignalError: it says what would work.
        """
        ...


class ServedNetwork(Protocol):
    """A network that the server evaluates on whole arrays; safe to use from several threads."""

    @property
    def inputs(self) -> tuple[TensorDescription, ...]:
        """All that `run` needs."""
        ...

    @property
    def outputs(self) -> tuple[TensorDescription, ...]:
        """All that `run` gives."""
        ...

    def run(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Evaluate it; arrays by ONNX name.

        Raises SignalError: an input is missing, unknown or of another type or shape than declared; ModelError: shapes
        that contradict each other.
        """
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that is served of one version of a model."""

    stream: ServedModel | None = None
    """Under the model's name."""
    networks: Mapping[str, ServedNetwork] = field(default_factory=dict)
    """Under names of their own."""
    mark: Hashable = None
    """Of the files that it was loaded from; see `ModelRepository`."""


Listing = Mapping[str, Mapping[int, Hashable]]
"""Model -> version -> a mark that changes when its files do."""


class ModelRepository(Protocol):
    """Models in versions, from which a server loads while it serves. Both methods block; for any thread."""

    def look(self) -> Listing:
        """What is there now; of versions that are still being written too. Raises OSError."""
        ...

    def load(self, name: str, version: int) -> Loaded:
        """Load a version, and prove what can be proved of it without a signal. Raises WavetileError, OSError."""
        ...
