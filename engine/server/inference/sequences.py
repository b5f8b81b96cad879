"""Live streams that clients name by an id: each request of a sequence brings a part of its signal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ...errors import SignalError
from ...session.chunks import LARGEST_FEATURE, LARGEST_SAMPLE, check_range
from ...session.deadlines import Deadlines
from ...session.scheduler import Scheduler
from ..activity import Activity
from ..admission import Admission
from ..deadlines import hop_ns
from ..live_stream import LiveStream, Results
from ..options import ServerOptions
from ..priority import Priority
from ..served import SessionEvent, SessionOutput
from ..status import CallError, QueueFullError, QueueTimeoutError, SlowClientError
from .catalogue import AUDIO, EVENTS, StreamEntry
from .handlers import PACKAGE
from .parameters import Parameters

PRIORITIES = {1: Priority.HIGH, 2: Priority.NORMAL, 3: Priority.LOW}
"""Of the protocol's parameter."""


class Owner(NamedTuple):
    """Whose a sequence is: one caller's on one connection."""

    peer: str
    caller: str


Key = tuple[Owner, str, int | str]
"""Owner, model, id: an id is its owner's alone."""
Emit = Callable[[dict[str, np.ndarray]], Awaitable[None]]


class LiveSequence:
    """One sequence's stream, and its place among the streams that the server takes."""

    def __init__(
        self,
        entry: StreamEntry,
        peer: str,
        parameters: Parameters,
        channels: int,
        scheduler: Scheduler,
        admission: Admission,
        activity: Activity,
        options: ServerOptions,
    ) -> None:
        """Open the stream that `parameters` ask for. Raises SignalError, and CallError where there is no room."""
        self._closing = ExitStack()
        self._shed: CallError | None = None
        stream = activity.stream(PACKAGE, entry.name, entry.description.kind)
        stream.model_version = entry.release.version
        with ExitStack() as opening:
            opening.enter_context(entry.release.lease())
            opening.enter_context(stream.counted())
            seat = opening.enter_context(admission.admit())
            stream.admitted(peer)
            session = entry.open(parameters.sample_rate_hz, channels)
            stream.sample_rate_hz, stream.channels = session.sample_rate_hz, channels
            stream.state_bytes = session.lanes * entry.description.state_bytes
            failed = opening.enter_context(ExitStack())
            failed.callback(session.close)
            self._first: list[SessionOutput] = [session.drain()]
            one_hop_ns = hop_ns(entry.description)
            self._live = LiveStream(
                scheduler,
                session,
                stream,
                model=entry.release.scheduled,
                deadlines=Deadlines(one_hop_ns, one_hop_ns),
                max_pending=options.max_pending_frames,
            )
            failed.pop_all()  # from here on, the stream closes its session
            failed.callback(self._live.close)
            priority = PRIORITIES[parameters.priority]
            seat.occupy(entry.release.scheduled, session.lanes, priority, self.shed, self._live.pulse)
            failed.pop_all()
            stream.begin()
            self._closing = opening.pop_all()
            self._closing.callback(self._live.close)
        self._nothing = _no_frames(self._first[0], entry.description.gives_events)
        self.channels = channels

    async def exchange(self, chunk: np.ndarray, *, end: bool, emit: Emit, each: bool) -> None:
        """Feed `chunk` and emit what it completes: all of it at once, or `each` part as it is computed.

        At once, arrays come even where no frame is complete, with no element along their first axis.
        """
        if self._shed is not None:
            raise self._shed
        outputs, self._first = self._first, []

        async def take(results: Results) -> None:
            outputs.extend(results.outputs)
            if each:
                await emit(_joined(self._nothing, outputs))
                outputs.clear()

        await self._live.exchange(chunk, end=end, emit=take)
        if not each or (end and outputs):
            await emit(_joined(self._nothing, outputs))
        else:
            self._first = outputs  # what the stream begins with goes out with the first frame

    def shed(self, error: CallError) -> None:
        """End the stream now; the request that is being answered, or else the next one, is told the reason."""
        self._shed = error
        self._live.fail(error)
        self.close(error)

    def close(self, error: BaseException | None = None) -> None:
        """End the stream, for this reason if it is not its client's wish, and give up its place."""
        if error is None:
            self._closing.close()
        else:
            with suppress(type(error)):  # what it is closed with passes through
                self._closing.__exit__(type(error), error, None)


@dataclass(slots=True, eq=False)
class _Slot:
    """What is known of one id: its sequence, once started, and the requests that are being answered or wait."""

    entry: StreamEntry
    """Of the sequence that the last request belongs to, also while it waits to be started: others may serve by now."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    requests: int = 0
    sequence: LiveSequence | None = None
    expiry: asyncio.TimerHandle | None = None


class SequenceTable:
    """The live sequences of one call, or of all connections. For one event loop."""

    def __init__(
        self, scheduler: Scheduler, admission: Admission, activity: Activity, options: ServerOptions, max_waiting: int
    ) -> None:
        """`max_waiting` is how many requests of one sequence may wait for the one that is being answered."""
        self._max_waiting = max_waiting
        self._scheduler = scheduler
        self._admission = admission
        self._activity = activity
        self._options = options
        self._slots: dict[Key, _Slot] = {}

    def entry(self, owner: Owner, model: str, sequence_id: int | str | None) -> StreamEntry | None:
        """What a sequence is computed by that was started, or is about to be; None: there is none of that id."""
        slot = None if sequence_id is None else self._slots.get((owner, model, sequence_id))
        return None if slot is None else slot.entry

    async def exchange(
        self, owner: Owner, entry: StreamEntry, parameters: Parameters, chunk: np.ndarray, emit: Emit
    ) -> None:
        """Answer one request of a sequence, after those that came before it; `emit` takes arrays by output.

        Raises:
            SignalError: the sequence is not open, or the chunk is not one of its signal; nothing of it was taken.
            QueueFullError: too many requests of the sequence wait already.
            QueueTimeoutError: the request waited longer than it said that it would; nothing of it was taken.
        """
        if parameters.sequence_id is None:
            raise SignalError(
                f"model {entry.name!r} is a stream, whose requests belong to a sequence; with sequence_id it would work"
            )
        _check_chunk(entry, chunk, self._options.max_channels)
        key = (owner, entry.name, parameters.sequence_id)
        slot = self._slots.setdefault(key, _Slot(entry))
        if slot.requests > self._max_waiting:
            raise QueueFullError(
                f"{self._max_waiting} requests of sequence {parameters.sequence_id!r} wait, as many as may; one more "
                "would work when one has been answered"
            )
        slot.entry = entry
        slot.requests += 1
        try:
            await _take_turn(slot, parameters.timeout_s)
            try:
                await self._exchange(key, slot, entry, parameters, chunk, emit)
            finally:
                slot.turn.release()
        finally:
            slot.requests -= 1
            self._forget_unused(key, slot)

    def close(self, error: Exception | None = None) -> None:
        """End all sequences, for this reason or because their clients go without having ended them."""
        for slot in self._slots.values():
            _end(slot, error or asyncio.CancelledError())
        self._slots.clear()

    async def _exchange(
        self, key: Key, slot: _Slot, entry: StreamEntry, parameters: Parameters, chunk: np.ndarray, emit: Emit
    ) -> None:
        channels = chunk.shape[1] if chunk.ndim == 2 and not entry.takes_features else 1
        if parameters.sequence_start:
            _end(slot)
            slot.sequence = LiveSequence(
                entry,
                key[0].peer,
                parameters,
                channels,
                self._scheduler,
                self._admission,
                self._activity,
                self._options,
            )
        sequence = slot.sequence
        if sequence is None:
            raise SignalError(
                f"sequence {key[2]!r} of model {entry.name!r} is not open here; a sequence's first request says "
                "sequence_start, and the others come by the same connection, or in the same call"
            )
        if channels != sequence.channels:
            raise SignalError(
                f"a chunk of {channels} channel(s) in a sequence of {sequence.channels}; {sequence.channels} would work"
            )
        if slot.expiry is not None:
            slot.expiry.cancel()
        try:
            await sequence.exchange(chunk, end=parameters.sequence_end, emit=emit, each=parameters.several_answers)
        except BaseException as error:  # failed or given up: nobody knows how much was taken
            _end(slot, error)
            raise
        if parameters.sequence_end:
            _end(slot)
        else:
            loop = asyncio.get_running_loop()
            slot.expiry = loop.call_later(self._options.sequence_idle_s, self._expire, key, slot)

    def _expire(self, key: Key, slot: _Slot) -> None:
        _end(slot, SlowClientError(f"the client has sent nothing for {self._options.sequence_idle_s:g} s"))
        self._forget_unused(key, slot)

    def _forget_unused(self, key: Key, slot: _Slot) -> None:
        if slot.sequence is None and slot.requests == 0 and self._slots.get(key) is slot:
            del self._slots[key]


def _end(slot: _Slot, error: BaseException | None = None) -> None:
    if slot.expiry is not None:
        slot.expiry.cancel()
        slot.expiry = None
    if slot.sequence is not None:
        slot.sequence.close(error)
        slot.sequence = None


async def _take_turn(slot: _Slot, timeout_s: float | None) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await slot.turn.acquire()
    except TimeoutError:
        raise QueueTimeoutError(f"the request waited longer than its timeout of {timeout_s:g} s") from None


def _check_chunk(entry: StreamEntry, chunk: np.ndarray, max_channels: int) -> None:
    (signature,) = entry.inputs
    if chunk.dtype != np.float32:
        raise SignalError(f"input {signature.name!r} is {chunk.dtype.name}; FP32 would work")
    if entry.takes_features:
        count = entry.description.feature_count
        if chunk.ndim != 2 or chunk.shape[1] != count:
            raise SignalError(
                f"input {signature.name!r} has the shape {list(chunk.shape)}; [frames, {count}] would work"
            )
    elif chunk.ndim not in (1, 2) or (chunk.ndim == 2 and not 1 <= chunk.shape[1] <= max_channels):
        raise SignalError(
            f"input {signature.name!r} has the shape {list(chunk.shape)}; [samples], or [samples, channels] of at most "
            f"{max_channels} channels, would work"
        )
    if entry.takes_features:
        check_range(chunk, LARGEST_FEATURE, "frame")
    else:
        check_range(chunk, LARGEST_SAMPLE, "sample")


def _no_frames(output: SessionOutput, gives_events: bool) -> dict[str, np.ndarray]:
    """Arrays like the output's, of no frame."""
    audio = {} if output.samples is None else {AUDIO: output.samples[:0]}
    events = {EVENTS: np.empty(0, object)} if gives_events else {}
    return {**audio, **{name: values[:0] for name, values in output.values.items()}, **events}


def _joined(nothing: Mapping[str, np.ndarray], outputs: Sequence[SessionOutput]) -> dict[str, np.ndarray]:
    """Consecutive outputs as one array each; those of `nothing` where there are none."""
    pieces = {name: [array] for name, array in nothing.items()}
    for output in outputs:
        if output.samples is not None:
            pieces[AUDIO].append(output.samples)
        for name, values in output.values.items():
            pieces[name].append(values)
        if output.events and EVENTS in pieces:
            pieces[EVENTS].append(np.array([_text(event) for event in output.events], object))
    return {name: np.concatenate(arrays) for name, arrays in pieces.items()}


def _text(event: SessionEvent) -> bytes:
    """An event as JSON, with the names that `clients.Event` gives its parts."""
    parts = {
        "kind": event.kind,
        "sample_index": event.sample,
        "time_seconds": event.seconds,
        "probability": event.probability,
    }
    return json.dumps(parts).encode()
