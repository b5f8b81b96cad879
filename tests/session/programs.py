"""Small stream programs whose results can be told by hand, run by the reference back end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from wavetile.engine.graph import Graph, Node, State, TensorType
from wavetile.engine.graph.ir import STREAM_DOMAIN
from wavetile.engine.plan import compile_graph
from wavetile.engine.session import Event, StreamSpec
from wavetile.engine.session.record import Record, Value

RATE_HZ = 16000
FRAME = 96
HOP = 32
FLOAT32 = np.dtype(np.float32)


def overlap_spec(start: str = "silence", frame: int = FRAME, hop: int = HOP, gain: float = 1.0) -> StreamSpec:
    """Audio comes back as it was, times `gain`, `frame - hop` samples late.

    Values: "peak", the largest sample of the frame; "count", the number of the frame from 1 on, in the state, and twice
    over, `[2]`.
    """
    window = np.full(frame, gain * hop / frame, np.float32)
    shapes = {
        "frame": (1, frame),
        "windowed": (1, frame),
        "audio": (1, hop),
        "peak": (1, 1),
        "before": (1, 2),
        "count": (1, 2),
        "window": (frame,),
        "one": (1,),
    }
    graph = Graph(
        name="overlap",
        inputs={name: TensorType(shapes[name], FLOAT32) for name in ("frame", "before")},
        outputs=["audio", "peak", "count"],
        nodes=[
            Node("Mul", "mul", ("frame", "window"), ("windowed",), {}, 17),
            Node("OverlapAdd", "add", ("windowed",), ("audio",), {"hop": hop}, 1, STREAM_DOMAIN),
            Node("ReduceMax", "max", ("frame",), ("peak",), {"axes": [1], "keepdims": 1}, 17),
            Node("Add", "one more", ("before", "one"), ("count",), {}, 17),
        ],
        constants={"window": window, "one": np.ones(1, np.float32)},
        types={name: TensorType(shape, FLOAT32) for name, shape in shapes.items()},
        states=[State("before", "counted", (1, 2))],
    )
    # The state's output needs a name of its own, for "count" is given out.
    graph.nodes.append(Node("Identity", "keep", ("count",), ("counted",), {}, 17))
    graph.outputs.append("counted")
    graph.types["counted"] = graph.types["count"]
    return StreamSpec(
        name="overlap",
        kind="audio",
        program=compile_graph(graph),
        backend="reference",
        input="frame",
        sample_rate_hz=RATE_HZ,
        hop_samples=hop,
        window_samples=frame,
        start=start,  # type: ignore[arg-type]
        delay_samples=frame - hop,
        audio="audio",
        values={"peak": "peak", "count": "count"},
    )


class LoudDecoder:
    """Says speech_start for each frame whose peak passes 0.9."""

    def __init__(self, sample_rate_hz: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.frames = 0

    def decode(self, values: Mapping[str, np.ndarray], /) -> Event | None:
        self.frames += 1
        peak = values["peak"].item()
        if peak <= 0.9:
            return None
        sample = self.frames * HOP * self.sample_rate_hz // RATE_HZ
        return Event("speech_start", sample, sample / self.sample_rate_hz, peak)

    def save(self) -> dict[str, Value]:
        return {"frames": self.frames}

    def restore(self, saved: Record, /) -> None:
        self.frames = saved.number("frames")


def peak_spec() -> StreamSpec:
    """The same program without audio: channels are averaged, and loud frames are events."""
    return replace(overlap_spec(), audio=None, delay_samples=0, downmix=True, decoder=LoudDecoder)


def held_spec() -> StreamSpec:
    """Audio comes back as it was, one hop late; nothing else. What is late is in the state, not in the window."""
    shape = (1, HOP)
    graph = Graph(
        name="held",
        inputs={"hop": TensorType(shape, FLOAT32), "before": TensorType(shape, FLOAT32)},
        outputs=["audio", "held"],
        nodes=[
            Node("Identity", "give", ("before",), ("audio",), {}, 17),
            Node("Identity", "hold", ("hop",), ("held",), {}, 17),
        ],
        constants={},
        types={name: TensorType(shape, FLOAT32) for name in ("hop", "before", "audio", "held")},
        states=[State("before", "held", shape)],
    )
    return StreamSpec(
        name="held",
        kind="audio",
        program=compile_graph(graph),
        backend="reference",
        input="hop",
        sample_rate_hz=RATE_HZ,
        hop_samples=HOP,
        window_samples=HOP,
        delay_samples=HOP,
        audio="audio",
    )


def feature_spec() -> StreamSpec:
    """Feature frames of 3 numbers; a value "total": their running sum over all frames so far, `[3]`."""
    shape = (1, 3)
    graph = Graph(
        name="features",
        inputs={"features": TensorType(shape, FLOAT32), "before": TensorType(shape, FLOAT32)},
        outputs=["total", "carried"],
        nodes=[
            Node("Add", "add", ("features", "before"), ("total",), {}, 17),
            Node("Identity", "keep", ("total",), ("carried",), {}, 17),
        ],
        constants={},
        types={name: TensorType(shape, FLOAT32) for name in ("features", "before", "total", "carried")},
        states=[State("before", "carried", shape)],
    )
    return StreamSpec(
        name="features",
        kind="features",
        program=compile_graph(graph),
        backend="reference",
        input="features",
        sample_rate_hz=0,
        hop_samples=3,
        window_samples=3,
        feature_count=3,
        values={"total": "total"},
    )
