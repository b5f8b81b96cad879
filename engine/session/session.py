"""One live stream: checks and resamples chunks, cuts them into windows, gives out what the program makes of them."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray, vdot

from ..errors import SignalError, StreamClosedError
from ..plan import Slot, StatePool
from .bypass import Bypass
from .chunks import FLOAT32, LARGEST_FEATURE, LARGEST_SAMPLE, check_audio, check_features
from .output import Output
from .resample import IN_FLIGHT_SAMPLES, Resampler, check_rate
from .resample_resumable import ResumableResampler
from .results import Results
from .ring import Ring
from .spec import StreamSpec

RING_SECONDS = 0.5
"""How far a stream can run ahead of its model."""

RING_HOPS = 32
"""The least that a ring holds, whatever the rate."""

MAX_CHANNELS = 64


class Session:
    """A live stream's ring, state slots, resamplers and decoder. An `Executor` does the computing.

    One thread may feed (`check`, `accept`, `feed`, `flush`, `free_samples`) while another steps and drains; `reset`
    and `close` are for when neither is at work.
    """

    def __init__(
        self,
        spec: StreamSpec,
        pool: StatePool,
        *,
        sample_rate_hz: int | None = None,
        channels: int = 1,
        bypass: bool = False,
        resumable: bool = False,
    ) -> None:
        """Open a stream with fresh state.

        Args:
            spec: the model's stream.
            pool: where the state slots come from, one a lane.
            sample_rate_hz: of what is fed and of what comes out; None or 0: the model's own. Feature frames have none.
            channels: of what is fed and of what comes out.
            bypass: whether frames may be bypassed instead of computed.
            resumable: resample so that the state can be saved; see `ResumableResampler`.

        Raises:
            SignalError: the rate or the number of channels can not be used, or frames of the model not be bypassed.
            CapacityError: the pool has no free slot.
        """
        self.spec = spec
        self._window, self._hop, self._features = spec.window_samples, spec.hop_samples, spec.feature_count
        self.sample_rate_hz = _stream_rate(spec, sample_rate_hz)
        self.channels = check_channels(spec, channels)
        self.lanes = 1 if spec.downmix else self.channels
        self.delay_samples = spec.delay_samples
        self.first_frame_samples = spec.first_frame_samples // (spec.feature_count or 1)
        """Samples, at the stream's rate, or feature frames, that complete the first window."""
        self._resampler: Resampler | ResumableResampler | None = None
        if self.sample_rate_hz != spec.sample_rate_hz:
            kind = ResumableResampler if resumable else Resampler
            self._resampler = kind(self.sample_rate_hz, spec.sample_rate_hz, self.lanes)
            self.delay_samples = round(spec.delay_samples / self._resampler.ratio)
            self.first_frame_samples = math.ceil(spec.first_frame_samples / self._resampler.ratio)
        self._results = Results(spec, self.sample_rate_hz, self.lanes, resumable=resumable)
        self.take = self._results.take
        """take(audio, values): copy one step's results; see `Results.take`."""
        self._reserve, usable = self._ring_sizes()
        capacity = spec.window_samples + usable + self._reserve
        self._bypass: Bypass | None = None
        if bypass:
            Bypass.check(spec)
            self._ring = Ring(self.lanes, capacity, Bypass.samples_behind(spec))
            self._bypass = Bypass(spec, self._ring, self._results, self.lanes)
            self.take = self._bypass.take
        else:
            self._ring = Ring(self.lanes, capacity)
        self._hop_shape: tuple[int, ...] | None = None
        """Of a chunk that can go straight through: float32, one channel, one hop."""
        self._most_energy = (LARGEST_FEATURE if self._features else LARGEST_SAMPLE) ** 2
        """Of such a chunk: no value of it is then too large."""
        if self.channels == 1 and self._resampler is None:
            self._hop_shape = (1, self._features) if self._features else (self._hop,)
        self.room_samples = 0 if self._resampler else usable // (spec.feature_count or 1)
        """No more than `free_samples` whenever no step is `ready`, and at hand at once."""
        self._pool = pool
        self.slots = np.zeros(self.lanes, np.int64)
        """[lanes]: the state slot of each lane."""
        self._held: list[Slot] = []
        self.closed = False
        self._begin()
        try:
            for lane in range(self.lanes):
                self._held.append(pool.acquire())
                self.slots[lane] = self._held[lane].place
        except Exception:
            self.close()
            raise

    # The producer's side.

    @property
    def free_samples(self) -> int:
        """How many samples a channel, at the stream's rate, or how many feature frames `feed` takes now."""
        free = self._ring.free - self._reserve
        if self._resampler is not None:
            # Over a whole signal, no more comes out of the resampler than ratio times what went in.
            ratio = self._resampler.ratio
            free = (self._arrived + free) * ratio.denominator // ratio.numerator - self._fed
        elif self.spec.feature_count:
            free //= self.spec.feature_count
        return max(0, free)

    def feed(self, chunk: np.ndarray) -> None:
        """Take a chunk of any length up to `free_samples`.

        Args:
            chunk: audio, `[samples]` or `[samples, channels]`, float32 with full scale 1.0, or int16; or feature
                frames, `[frames, features]` float32.

        Raises:
            SignalError: wrong type, shape or length, or a value that is not finite or too large. Nothing of it was
                taken.
            StreamClosedError: the session is closed.
        """
        block = self.check(chunk)
        if len(block) > self.free_samples:
            raise SignalError(
                f"a chunk of {len(block)} is longer than the {self.free_samples} that the stream has room for; "
                "feed less at once, or step first"
            )
        self.accept(block)

    def check(self, chunk: np.ndarray) -> np.ndarray:
        """Return a chunk as float32 for `accept`; raises what `feed` raises, but takes any length."""
        if self.closed or self._final_steps is not None:
            self._check_live()
        if self._features:
            return check_features(chunk, self._features)
        return check_audio(chunk, self.channels)

    def accept(self, block: np.ndarray) -> None:
        """Take at most `free_samples` of what `check` returned."""
        self._fed += len(block)
        if block.ndim == 2:
            if self._features:
                block = block.reshape(-1)
            elif self.lanes == 1:
                block = block.mean(axis=1, dtype=np.float32)
        if self._resampler is not None and len(block):
            block = self._resampler.process(block)
        self._ring.write(block)

    def pass_hop(self, chunk: np.ndarray, window: np.ndarray) -> bool:
        """`check`, `accept` and `load` at once of the usual chunk: a hop at the model's rate that completes a window.

        Returns:
            Whether it was taken, and `window` is filled. If not, `check` says whether anything is wrong with it.
        """
        ring = self._ring
        if (
            type(chunk) is not ndarray
            or chunk.shape != self._hop_shape
            or chunk.dtype != FLOAT32
            or ring.written - ring.read_count + self._hop != self._window
            or self._final_steps is not None
            or self.closed
            or not vdot(chunk, chunk) <= self._most_energy
        ):
            return False
        self._fed += len(chunk)
        ring.write(chunk[0] if self._features else chunk)
        ring.read(window, self._hop)
        return True

    def flush(self) -> None:
        """End the signal: pad it with silence, so that the steps that are then `ready` make all that is owed.

        Raises:
            SignalError: it was flushed before.
            StreamClosedError: the session is closed.
        """
        self._check_live()
        spec = self.spec
        if self._resampler is not None:
            self._ring.write(self._resampler.flush())
        arrived = self._arrived
        steps = -(-max(0, self._owed_samples() - spec.prologue_samples) // spec.hop_samples)
        self._final_steps = steps  # before the last window is complete, for a step may follow at once
        if steps:
            needed = spec.first_frame_samples + (steps - 1) * spec.hop_samples
            self._ring.write_silence(max(0, needed - arrived))

    def _owed_samples(self) -> int:
        """What the steps must cover, at the model's rate: all of the input, and the delay where audio comes out."""
        if self.spec.audio is None:
            return self._arrived
        total = self._fed + self.delay_samples
        if self._resampler is None:
            return total
        # One sample more, for the way back may round the number of samples down.
        return math.ceil((total + 1) * self._resampler.ratio)

    @property
    def completed(self) -> int:
        """Windows that have become complete since the signal's start, computed or not."""
        return max(0, (self._ring.written - self._window) // self._hop + 1)

    @property
    def _arrived(self) -> int:
        """Samples of the signal, or numbers of its features, that went into the ring, at the model's rate."""
        return self._ring.written - self.spec.history_samples

    # The consumer's side.

    @property
    def ready(self) -> int:
        """Complete windows that wait in the ring: how many steps can be made."""
        ring = self._ring
        beyond = ring.written - ring.read_count - self._window
        return beyond // self._hop + 1 if beyond >= 0 else 0

    def load(self, target: np.ndarray) -> None:
        """Move one step's window into `target`, `[window]` or `[window, lanes]`. Only when `ready`.

        Raises StreamClosedError: its slots are others' now.
        """
        if self.closed:
            self._check_open()
        self._ring.read(target, self._hop)

    def bypass(self) -> None:
        """Take one step's samples and give out its input instead; only when `ready`, of a session that may bypass."""
        assert self._bypass is not None
        self._bypass.pass_on()

    @property
    def bypassed(self) -> bool:
        """Whether what the last step gave out is its input, and nothing of what the model made."""
        return self._bypass is not None and self._bypass.bypassed

    def drain(self) -> Output:
        """Everything that came out since the last drain; after a flush and its last step, the tail too."""
        if self._final_steps is None:
            return self._results.drain()
        ended = self._results.steps >= self._final_steps
        return self._results.drain(total_samples=self._fed + self.delay_samples, ended=ended)

    # The owner's side.

    def reset(self) -> None:
        """Start a new signal: fresh state, empty ring, nothing pending.

        Raises:
            StreamClosedError: the session is closed.
        """
        self._check_open()
        for slot in self._held:
            self._pool.reset(slot)
        if self._resampler is not None:
            self._resampler.reset()
        self._results.reset()
        if self._bypass is not None:
            self._bypass.begin()
        self._begin()

    def close(self) -> None:
        """Give the state slots back. Closing twice does nothing."""
        self.closed = True
        while self._held:
            self._pool.release(self._held.pop())

    def _begin(self) -> None:
        self._ring.clear()
        self._ring.write_silence(self.spec.history_samples)
        self._fed = 0  # samples at the stream's rate, or feature frames
        self._final_steps: int | None = None

    def _ring_sizes(self) -> tuple[int, int]:
        """What only `flush` may fill of the ring, and what else fits beside a window."""
        spec = self.spec
        reserve = spec.window_samples + spec.hop_samples + max(spec.window_samples, spec.delay_samples)
        usable = max(int(RING_SECONDS * spec.sample_rate_hz), RING_HOPS * spec.hop_samples)
        if self._resampler is not None:
            # What is inside the resampler will land in the ring, so room for it counts as taken.
            samples_each = math.ceil(max(self._resampler.ratio, 1))
            reserve += 4 * samples_each
            usable += IN_FLIGHT_SAMPLES * samples_each
        return reserve, usable

    def _check_open(self) -> None:
        if self.closed:
            raise StreamClosedError(f"the stream of model {self.spec.name!r} is closed; open a new one")

    def _check_live(self) -> None:
        self._check_open()
        if self._final_steps is not None:
            raise SignalError("the stream was flushed, which ends its signal; reset() starts a new one")


def _stream_rate(spec: StreamSpec, sample_rate_hz: int | None) -> int:
    if not spec.sample_rate_hz:
        if sample_rate_hz not in (None, 0):
            raise SignalError(
                f"model {spec.name!r} takes feature frames, which have no sample rate; {sample_rate_hz!r} Hz was given"
            )
        return 0
    if sample_rate_hz is None:
        return spec.sample_rate_hz
    return check_rate(sample_rate_hz)


def check_channels(spec: StreamSpec, channels: int) -> int:
    """Return a usable number of channels. Raises SignalError, which says what would work."""
    most = 1 if spec.feature_count else MAX_CHANNELS
    if isinstance(channels, bool) or not isinstance(channels, (int, np.integer)) or not 1 <= channels <= most:
        what = "a stream of feature frames has 1" if spec.feature_count else f"1 to {MAX_CHANNELS} would work"
        raise SignalError(f"{channels!r} channels can not be used for model {spec.name!r}; {what}")
    return int(channels)
