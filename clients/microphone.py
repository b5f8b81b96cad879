"""The microphone client, on PyAudio (extra `mic`): microphone -> stream -> loudspeaker, in full duplex."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from ..engine.errors import BackendError
from .client import StreamClient
from .playback import PlaybackBuffer
from .results import Event, StreamInfo, StreamResult

# A device that gives nothing for so long is gone.
SILENT_DEVICE_S = 5.0
# Chunks between the device and the stream; more would be delay that never goes away.
QUEUED_CHUNKS = 50


@dataclass(frozen=True, slots=True)
class AudioDevice:
    """A device of the sound system; `index` is what the other functions take."""

    index: int
    name: str
    host_api: str
    input_channels: int
    output_channels: int
    default_sample_rate_hz: float


def list_devices() -> list[AudioDevice]:
    """The devices of this machine. Raises BackendError without PyAudio."""
    with _port_audio() as (_, audio):
        return [_device(audio, index) for index in range(audio.get_device_count())]


class Microphone:
    """An input device as an async iterator of chunks `[chunk_samples]` float32; one channel.

    Use it with `async with`, on one event loop. When the reader is slow the oldest chunks are dropped and counted in
    `dropped_chunks`. Raises BackendError when there is no PyAudio, no such device, or it stops giving samples.
    """

    def __init__(self, *, sample_rate_hz: int, chunk_samples: int, device: int | None = None) -> None:
        self.dropped_chunks = 0
        self._sample_rate_hz = sample_rate_hz
        self._chunk_samples = chunk_samples
        self._device = device
        self._chunks: deque[bytes] = deque(maxlen=QUEUED_CHUNKS)
        self._arrived = asyncio.Event()
        self._lock = threading.Lock()  # over the two above: PortAudio's thread writes, the event loop reads

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._context = _port_audio()
        module, audio = self._context.__enter__()

        def callback(data: bytes, *_: object) -> tuple[None, int]:
            with self._lock:
                if len(self._chunks) == QUEUED_CHUNKS:
                    self.dropped_chunks += 1
                self._chunks.append(data)
                # One wake-up for any number of chunks, so that a stalled loop is not flooded.
                if len(self._chunks) == 1 and not loop.is_closed():
                    loop.call_soon_threadsafe(self._arrived.set)
            return None, module.paContinue

        try:
            self._stream = _open_stream(
                audio,
                f"input device {_named(self._device)} at {self._sample_rate_hz} Hz",
                self._device,
                format=module.paFloat32,
                channels=1,
                rate=self._sample_rate_hz,
                frames_per_buffer=self._chunk_samples,
                input=True,
                input_device_index=self._device,
                stream_callback=callback,
            )
        except BaseException:
            self._context.__exit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Stopping waits for the device's thread, which may be inside the callback.
        await asyncio.to_thread(self._stream.close)
        self._context.__exit__(None, None, None)

    def __aiter__(self) -> AsyncIterator[np.ndarray]:
        return self

    async def __anext__(self) -> np.ndarray:
        try:
            async with asyncio.timeout(SILENT_DEVICE_S):
                while (data := self._take()) is None:
                    await self._arrived.wait()
        except TimeoutError:
            raise BackendError(
                f"input device {_named(self._device)} has given no samples for {SILENT_DEVICE_S:g} s"
            ) from None
        return np.frombuffer(data, np.float32)

    def _take(self) -> bytes | None:
        with self._lock:
            if self._chunks:
                return self._chunks.popleft()
            self._arrived.clear()
            return None


class Speaker:
    """An output device that plays what is written to `buffer`; one channel. Use it with `with`. Raises BackendError."""

    def __init__(
        self, buffer: PlaybackBuffer, *, sample_rate_hz: int, chunk_samples: int, device: int | None = None
    ) -> None:
        self.buffer = buffer
        self._sample_rate_hz = sample_rate_hz
        self._chunk_samples = chunk_samples
        self._device = device

    def __enter__(self) -> Self:
        self._context = _port_audio()
        module, audio = self._context.__enter__()

        def callback(_: object, sample_count: int, *__: object) -> tuple[bytes, int]:
            return self.buffer.read(sample_count).tobytes(), module.paContinue

        try:
            self._stream = _open_stream(
                audio,
                f"output device {_named(self._device)} at {self._sample_rate_hz} Hz",
                self._device,
                format=module.paFloat32,
                channels=1,
                rate=self._sample_rate_hz,
                frames_per_buffer=self._chunk_samples,
                output=True,
                output_device_index=self._device,
                stream_callback=callback,
            )
        except BaseException:
            self._context.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._context.__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class DuplexReport:
    """What came of a live run: samples in and out, what the devices lost, the model's events."""

    info: StreamInfo
    samples_in: int
    samples_out: int
    dropped_chunks: int
    underruns: int
    dropped_samples: int
    events: tuple[Event, ...]


async def run_duplex(  # noqa: PLR0913 - options, by keyword
    client: StreamClient,
    model: str,
    *,
    sample_rate_hz: int = 48000,
    chunk_s: float = 0.01,
    input_device: int | None = None,
    output_device: int | None = None,
    duration_s: float | None = None,
    playback_delay_s: float = 0.04,
    late_policy: str = "process",
    on_result: Callable[[StreamResult], None] | None = None,
) -> DuplexReport:
    """Run `model` on a microphone and play what it gives (nothing is played for a model without audio).

    Ends after `duration_s` of signal; None: when cancelled. `playback_delay_s` is kept in hand against jitter.
    `late_policy` as of `StreamClient.stream`: with "bypass" a voice is heard as it is where the server is late.
    Raises BackendError without PyAudio or the devices, ServerError.
    """
    chunk_samples = max(1, round(chunk_s * sample_rate_hz))
    target_samples = round(playback_delay_s * sample_rate_hz)
    buffer = PlaybackBuffer(target_samples=target_samples, capacity_samples=4 * max(target_samples, chunk_samples))
    samples_in = samples_out = 0
    events: list[Event] = []
    async with (
        client.stream(model, sample_rate_hz=sample_rate_hz, late_policy=late_policy) as stream,
        Microphone(sample_rate_hz=sample_rate_hz, chunk_samples=chunk_samples, device=input_device) as microphone,
    ):

        async def source() -> AsyncIterator[np.ndarray]:
            nonlocal samples_in
            async for chunk in microphone:
                if duration_s is not None and samples_in >= duration_s * sample_rate_hz:
                    return
                samples_in += len(chunk)
                yield chunk

        speaker = Speaker(buffer, sample_rate_hz=sample_rate_hz, chunk_samples=chunk_samples, device=output_device)
        with speaker if stream.info.returns_audio else nullcontext():
            async for result in stream.exchange(source()):
                if result.samples is not None:
                    buffer.write(result.samples)
                    samples_out += len(result.samples)
                events.extend(result.events)
                if on_result is not None:
                    on_result(result)
        return DuplexReport(
            info=stream.info,
            samples_in=samples_in,
            samples_out=samples_out,
            dropped_chunks=microphone.dropped_chunks,
            underruns=buffer.underruns,
            dropped_samples=buffer.dropped_samples,
            events=tuple(events),
        )


@contextmanager
def _port_audio() -> Iterator[tuple[Any, Any]]:
    """PyAudio's module and a PortAudio session."""
    try:
        import pyaudio
    except ImportError as error:
        raise BackendError(
            f"the microphone client needs PyAudio ({error}): pip install 'wavetile[mic]' "
            "(on Linux it compiles against PortAudio: Debian's portaudio19-dev)"
        ) from error
    audio = pyaudio.PyAudio()
    try:
        yield pyaudio, audio
    finally:
        audio.terminate()


def _device(audio: Any, index: int) -> AudioDevice:
    info = audio.get_device_info_by_index(index)
    return AudioDevice(
        index=index,
        name=str(info["name"]),
        host_api=str(audio.get_host_api_info_by_index(info["hostApi"])["name"]),
        input_channels=int(info["maxInputChannels"]),
        output_channels=int(info["maxOutputChannels"]),
        default_sample_rate_hz=float(info["defaultSampleRate"]),
    )


def _open_stream(audio: Any, what: str, device: int | None, **arguments: Any) -> Any:
    count = audio.get_device_count()
    if device is not None and not 0 <= device < count:  # PyAudio itself crashes on such a number
        raise BackendError(f"can not open {what}: this machine has {count} devices; list_devices() says which")
    try:
        return audio.open(**arguments)
    except (OSError, ValueError) as error:
        raise BackendError(f"can not open {what}: {error}; list_devices() says what is there") from error


def _named(device: int | None) -> str:
    return "(default)" if device is None else str(device)
