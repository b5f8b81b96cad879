"""The model: a network, or a card with its networks, ready to evaluate arrays and to open streams."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import overload

import numpy as np

from ..errors import ModelError, SignalError
from ..graph import Network
from ..graph.network import DeclaredType
from ..plan import Program, StatePool, Target, Workspace
from ..session import AxisStream, Executor, Session, Stream, StreamSpec, WindowStream
from ..session.kept_session import KeptSession
from .axes import AxisChoice, Sizes
from .card import Card, ImageSignal, ProductOperands, WeightStorage
from .description import ModelDescription, described
from .evaluator import Evaluator
from .images import TakesImages
from .pipeline import build_stream, target_of
from .signal_path import check_signal_path
from .streaming import NetworkStreams

DEFAULT_MAX_LANES = 16
"""Channels that an executor computes in one call."""

DEVICE_MAX_LANES = 128
"""The same on a GPU, most of which fewer would leave idle."""

DEFAULT_STATE_SLOTS = 4096
"""Channels of sessions that can be open at once; memory is touched only by those that are."""


class Model(TakesImages):
    """A loaded model; made by `wavetile.load`. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        networks: Mapping[str, Network],
        card: Card | None,
        *,
        backend: str,
        threads: int,
        weights: WeightStorage = "float32",
        products: ProductOperands = "float32",
    ) -> None:
        self.name = name
        self.card = card
        """None for a bare network."""
        self.weights: dict[str, WeightStorage] = {
            key: card.networks[key].weights if card else weights for key in networks
        }
        """Network -> how its products and recurrent layers keep their weights."""
        self.products: dict[str, ProductOperands] = {
            key: (card.networks[key].products if card else products) if backend == "cuda" else "float32"
            for key in networks
        }
        """Network -> what its convolutions round their operands to; "float32": nothing is rounded."""
        self.backend = backend
        self.inputs: dict[str, DeclaredType] = _declared({key: one.inputs for key, one in networks.items()})
        """Of all the model's networks, by ONNX name: element type and dimensions, free ones by name.

        A name that several networks have is `network/name` here, and the plain name where it is given to `run`.
        """
        self.outputs: dict[str, DeclaredType] = _declared({key: one.outputs for key, one in networks.items()})
        self._networks = dict(networks)
        self._evaluators = {key: Evaluator(network, self._target(key), threads) for key, network in networks.items()}
        self._lock = threading.Lock()
        self._spec: StreamSpec | None = None
        self._pool: StatePool | None = None
        self._description: ModelDescription | None = None
        self._network_streams = [
            NetworkStreams(network, self._target(key), threads=threads) for key, network in networks.items()
        ]
        self._evaluator_of = {
            name: one for one in self._evaluators.values() for name in one.network.inputs if name in self.inputs
        }
        """By the inputs that one network alone has."""

    def _target(self, network: str) -> Target:
        """What the programs of a network alone are compiled for."""
        return target_of(self.backend, {"": (self.weights[network], self.products[network])})

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Evaluate the network on whole arrays, as its ONNX file describes it: without front end, state or decoder.

        Args:
            inputs: every input by its ONNX name, of the declared type, in any shape that its free axes allow. A program
                is compiled for each new set of shapes (and values of integer inputs) and kept. Of a model with several
                networks, that network is evaluated whose inputs these are.

        Returns:
            Every output of the network by its ONNX name, in fresh arrays.

        Raises:
            SignalError: an input is missing, unknown, or of another type or shape than declared.
            ModelError: shapes that contradict each other, or for which the network can not be compiled.
        """
        for name in inputs:
            evaluator = self._evaluator_of.get(name)
            if evaluator is not None:
                return evaluator.run(inputs)
        if len(self._evaluators) == 1:
            (evaluator,) = self._evaluators.values()
            return evaluator.run(inputs)  # no input at all, or none that it has: it says so
        listing = "; ".join(f"{key}: {', '.join(network.inputs)}" for key, network in self._networks.items())
        raise SignalError(f"model {self.name!r} has several networks; give the inputs of one of them: {listing}")

    @overload
    def stream(self, sample_rate_hz: int | None = None, channels: int = 1, *, resumable: bool = False) -> Stream: ...
    @overload
    def stream(self, *, axis: AxisChoice, step: int | None = None, sizes: Sizes | None = None) -> AxisStream: ...
    def stream(
        self,
        sample_rate_hz: int | None = None,
        channels: int = 1,
        *,
        resumable: bool = False,
        axis: AxisChoice | None = None,
        step: int | None = None,
        sizes: Sizes | None = None,
    ) -> Stream | AxisStream:
        """Open a stream that is computed in the caller's thread: of a card's signal, or of a network along an axis.

        Args:
            sample_rate_hz: of what goes in and of what comes out; None: the model's own. Feature streams have none.
            channels: of what goes in and of what comes out. A denoiser treats each on its own; voice activity is
                decided on their average.
            resumable: snapshots will be taken of it (`Stream.snapshot`). Only a stream that is resampled has to know:
                its bits then differ from others' by rounding.
            axis: of a bare network, the free dimension that streams: its name ("time" also finds T, S, frames and the
                like); or each input and its dimension, which may also be one of fixed size. Arrays go in and come out,
                with the numbers of the whole signal.
            step: elements along the axis that are computed together; None: as few as the network allows.
            sizes: of the network's other dimensions: of a free one by its name, of any one by its input and number.

        Raises:
            ModelError: the model has no card and no axis is named, or it has no such axis; or it takes whole images.
            UnsupportedError: the network can not stream exactly along the axis; the message names the node.
            SignalError: the rate or the number of channels can not be used.
        """
        if axis is not None:
            if sample_rate_hz is not None or channels != 1 or resumable:
                raise SignalError(
                    "a stream along an axis has no sample rate, channels or snapshots; without them it would work"
                )
            return self.streams.along(axis, step, sizes)
        if step is not None or sizes is not None:
            raise ModelError("step and sizes are of a stream along an axis; with axis=... they would work")
        return Stream(self.stream_spec, sample_rate_hz=sample_rate_hz, channels=channels, resumable=resumable)

    def resume(self, snapshot: bytes) -> Stream:
        """Go on with a stream where `Stream.snapshot` was taken: bit for bit as the one that it was taken of.

        Where another back end or vectors of another width compute (another kind of processor), the last bits may
        differ.

        Raises:
            SnapshotError: it is no snapshot, or one of another model, or of another version of it or of wavetile.
            ModelError: as `stream`.
        """
        return Stream.resume(self.stream_spec, snapshot)

    def windows(
        self,
        *,
        axis: AxisChoice,
        window: int | None = None,
        hop: int | None = None,
        sizes: Sizes | None = None,
        share: bool | None = None,
    ) -> WindowStream:
        """Run the network on windows of a signal that arrives: what works where a network does not stream exactly.

        Args:
            axis: as of `stream`.
            window: elements that the network gets at once; None: as many as its file fixes.
            hop: elements from one window to the next; None: windows do not overlap.
            sizes: of the network's other dimensions: of a free one by its name, of any one by its input and number.
            share: whether windows that overlap compute once what they have in common, which takes hops that layers'
                strides divide, and is proven first; None: where that saves time. `WindowStream.sharing` says what came
                of it.

        Raises:
            ModelError: the model has several networks, or no such axis, or a length is needed or can not be.
            UnsupportedError: `share` is True, and nothing can be shared; the message says why.
        """
        return self.streams.in_windows(self.run, axis, window, hop, sizes, share)

    @property
    def streams(self) -> NetworkStreams:
        """The streams of the model's network itself, without its card. Raises ModelError if it has several."""
        if len(self._network_streams) != 1:
            raise ModelError(
                f"model {self.name!r} has {len(self._network_streams)} networks; a single one streams by itself"
            )
        return self._network_streams[0]

    def open_session(self, sample_rate_hz: int | None = None, channels: int = 1, *, bypass: bool = False) -> Session:
        """Open a session that any `executor` of this model can compute, together with others. Errors as `stream`.

        With `bypass` its frames may give out their input instead of being computed.

        Raises:
            SignalError: `bypass` of a model that does not return audio alone.
            CapacityError: as many channels as there are state slots are open.
        """
        spec = self._spec_of(channels)
        return Session(spec, self._state_pool(), sample_rate_hz=sample_rate_hz, channels=channels, bypass=bypass)

    def open_kept_session(
        self,
        sample_rate_hz: int | None = None,
        channels: int = 1,
        *,
        bypass: bool = False,
        interval_frames: int,
    ) -> KeptSession:
        """The same with a snapshot each `interval_frames`."""
        return KeptSession(
            self._spec_of(channels),
            self._state_pool(),
            sample_rate_hz=sample_rate_hz,
            channels=channels,
            bypass=bypass,
            interval_frames=interval_frames,
        )

    def _spec_of(self, channels: int) -> StreamSpec:
        """The model's stream, where so many channels can be computed together."""
        spec = self.stream_spec
        if not spec.downmix and isinstance(channels, int) and channels > DEFAULT_MAX_LANES:
            raise SignalError(f"{channels} channels are more than the {DEFAULT_MAX_LANES} that are computed together")
        return spec

    @property
    def max_lanes(self) -> int:
        """Channels that an executor computes in one call, if not told otherwise."""
        return DEVICE_MAX_LANES if self.backend == "cuda" else DEFAULT_MAX_LANES

    def executor(self, max_lanes: int | None = None) -> Executor:
        """Make a workspace for the model's sessions: `max_lanes` channels in one call, one thread at a time.

        Raises BackendError: a card has no room.
        """
        lanes = self.max_lanes if max_lanes is None else max(max_lanes, DEFAULT_MAX_LANES)
        return Executor(self.stream_spec, lanes, self._state_pool())

    @property
    def stream_spec(self) -> StreamSpec:
        """The model's stream, compiled once. Errors as `stream`."""
        card = self.card
        if card is None:
            raise ModelError(
                f"model {self.name!r} is a bare network: run() evaluates it, stream(axis=...) streams its arrays; "
                "for a signal it needs a card that says how that is cut into its inputs (wavetile.load('my_card.toml'))"
            )
        if isinstance(card.signal, ImageSignal):
            raise ModelError(f"model {self.name!r} takes whole images, which do not stream; run() evaluates one")
        with self._lock:
            if self._spec is None:
                self._spec = build_stream(card, self._networks, self.backend)
            return self._spec

    def check(self) -> None:
        """Refuse what can not be computed as far as it shows without a signal; `load` does so.

        A stream, and a network that leaves nothing open, is compiled. Of a network that leaves shapes or values open
        the operators are checked; what else is wrong with it shows when `run` compiles it for its inputs.

        Raises:
            ModelError: the model can not be computed; the message names the node.
            BackendError: the card lacks a kernel, or room.
        """
        if self._streams:
            self._try_out(self.stream_spec.program)
        elif self._is_bound:
            self._try_out(self.program())
        else:
            for network in self._networks.values():
                check_signal_path(network)

    def _try_out(self, program: Program | None) -> None:
        """On a card, bind a program: kernels that are missing or do not compile, and too little memory, show now."""
        if self.backend == "cuda" and program is not None:
            Workspace(program, self.backend)

    def program(self, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Program | None:
        """The program that `run` uses for inputs of these shapes; those that the network fixes need not be given.

        Returns:
            The program; None if shapes are missing, or if all that the network gives is constant.

        Raises:
            SignalError: the network has no such input.
            ModelError: the model has several networks; or as `run`.
        """
        if len(self._evaluators) > 1:
            raise ModelError(f"model {self.name!r} has several networks; `stream_spec` has the program of all of them")
        (evaluator,) = self._evaluators.values()
        given = dict(shapes or {})
        if unknown := given.keys() - self.inputs.keys():
            raise SignalError(
                f"model {self.name!r} has no input {min(unknown)!r}; its inputs are {', '.join(self.inputs)}"
            )
        for name, declared in self.inputs.items():
            if declared.dims is not None and all(isinstance(dim, int) for dim in declared.dims):
                given.setdefault(name, declared.dims)  # type: ignore[arg-type]
        return evaluator.program(given) if given.keys() == self.inputs.keys() else None

    def describe(self) -> ModelDescription:
        """What the model takes, gives and costs; constant, and worked out once."""
        if self._description is None:
            spec = self.stream_spec if self._streams else None
            program = spec.program if spec else self.program() if self._is_bound else None
            self._description = described(
                self.name,
                self.card,
                self._networks,
                (self.inputs, self.outputs),
                spec,
                program,
                self.weights,
                self.products,
            )
        return self._description

    def __repr__(self) -> str:
        what = self.card.title if self.card else "a bare network"
        return f"<Model {self.name!r}: {what}; inputs {', '.join(self.inputs)}; back end {self.backend}>"

    def _state_pool(self) -> StatePool:
        spec = self.stream_spec
        with self._lock:
            if self._pool is None:
                self._pool = StatePool(spec.program, DEFAULT_STATE_SLOTS, spec.backend)
            return self._pool

    @property
    def _streams(self) -> bool:
        return self.card is not None and not isinstance(self.card.signal, ImageSignal)

    @property
    def _is_bound(self) -> bool:
        """Whether the network can be compiled as it is: no shape is open, and no input is bound by value."""
        return not any(evaluator.binds_values for evaluator in self._evaluators.values()) and all(
            dims is not None and all(isinstance(dim, int) and dim > 0 for dim in dims)
            for _, dims in self.inputs.values()
        )


def _declared(of_networks: Mapping[str, Mapping[str, DeclaredType]]) -> dict[str, DeclaredType]:
    """The values of all networks by name, or by network and name where several networks have one of that name."""
    uses = Counter(name for declared in of_networks.values() for name in declared)
    return {
        name if uses[name] == 1 else f"{network}/{name}": one
        for network, declared in of_networks.items()
        for name, one in declared.items()
    }
