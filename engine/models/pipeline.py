"""From a card and its networks to a stream: binds the networks, joins all that a frame goes through, compiles it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

from ...kernels.rounding import Products
from ..errors import CardError
from ..graph import Graph, Network, State, fuse, specialise
from ..plan import OPERATORS as RULED_OPERATORS
from ..plan import Target, compile_graph
from ..plan.streaming import Bindings, StreamingAxis, StreamPlan, causal_step, certify, find_axes
from ..session import StreamSpec
from .card import AudioSignal, Card, FeatureSignal, NetworkCard, NetworkStep, ProductOperands, WeightStorage
from .composer import Composer
from .decoder import VoiceActivityDecoder
from .operators import OPERATORS
from .proofs import code_digest


def target_of(backend: str, roundings: Mapping[str, tuple[WeightStorage, ProductOperands]]) -> Target:
    """What a program is compiled for.

    Args:
        backend: that runs it.
        roundings: what the names of nodes begin with -> their `weights` and `products`, as a card has them.
    """
    halved = tuple(prefix for prefix, (weights, _) in roundings.items() if weights == "float16")
    rounded = {prefix: products for prefix, (_, products) in roundings.items() if products != "float32"}
    return Target(backend, halved, tuple((prefix, Products[kind.upper()]) for prefix, kind in rounded.items()))


def build_stream(card: Card, networks: Mapping[str, Network], backend: str) -> StreamSpec:
    """Compile a card's stream: one program a frame, from the window to the overlap-add.

    Raises:
        CardError: the card does not fit its networks.
        UnsupportedError: a network can not run, or not step by step.
    """
    graph, audio, values, delay_samples = compose(card, networks)
    signal = card.signal
    # The composer calls a network's nodes after it.
    target = target_of(backend, {f"{name}/": (one.weights, one.products) for name, one in card.networks.items()})
    program = compile_graph(fuse(graph), name=card.name, target=target)
    for name, network in card.networks.items():
        if network.lift:
            certify_lift(network, networks[name], backend)
    if isinstance(signal, FeatureSignal):
        count = signal.feature_count
        return StreamSpec(
            name=card.name,
            kind="features",
            program=program,
            backend=backend,
            input="features",
            sample_rate_hz=0,
            hop_samples=count,
            window_samples=count,
            feature_count=count,
            values=values,
            made_by=code_digest,
        )
    assert isinstance(signal, AudioSignal)
    decoder = card.decoder
    return StreamSpec(
        name=card.name,
        kind="audio",
        program=program,
        backend=backend,
        input="frame",
        sample_rate_hz=signal.sample_rate_hz,
        hop_samples=signal.hop_samples,
        window_samples=signal.frame_samples,
        start=signal.start,
        delay_samples=delay_samples,
        audio=audio,
        values=values,
        downmix=decoder is not None,
        decoder=None
        if decoder is None
        else partial(VoiceActivityDecoder, decoder, signal.sample_rate_hz, signal.hop_samples),
        made_by=lambda: f"{code_digest()} {decoder}",
    )


def compose(card: Card, networks: Mapping[str, Network]) -> tuple[Graph, str | None, dict[str, str], int]:
    """Join a card's steps to one graph.

    Returns:
        The graph, whose input is `frame` or `features`; its outputs for audio and for each value; the audio's delay in
        samples.

    Raises:
        CardError: the card does not fit its networks.
    """
    signal = card.signal
    if isinstance(signal, AudioSignal):
        composer = Composer(
            card.name,
            frame_samples=signal.frame_samples,
            hop_samples=signal.hop_samples,
            sample_rate_hz=signal.sample_rate_hz,
        )
        made = {"frame": composer.input("frame", (1, signal.frame_samples))}
    elif isinstance(signal, FeatureSignal):
        composer = Composer(card.name, frame_samples=signal.feature_count, hop_samples=signal.feature_count)
        made = {"features": composer.input("features", (1, signal.feature_count))}
    else:
        raise CardError(f"model {card.name!r} takes whole images, which have no steps")
    for step in card.steps:
        if isinstance(step, NetworkStep):
            bound = bind(card.networks[step.network], networks[step.network])
            inputs = {key: made[value] for key, value in step.inputs.items()}
            outputs = composer.network(step.network, bound, inputs)
            for key, value in step.outputs.items():
                if key not in outputs:
                    raise CardError(f"network {step.network!r} has no output {key!r}; it has {', '.join(outputs)}")
                made[value] = outputs[key]
        else:
            operator = OPERATORS[step.operator]
            names = [made[step.values[key]] for key in operator.values]
            made[step.output] = operator.lower(composer, *names, **step.options)
    graph = composer.graph
    delay_samples = 0
    audio = None
    if card.audio is not None:
        audio = made[card.audio]
        if math.prod(composer.shape(audio)) != composer.hop_samples:
            raise CardError(
                f"model {card.name!r}: audio {card.audio!r} has shape {list(composer.shape(audio))}; "
                f"{composer.hop_samples} samples, one hop, would work"
            )
        delay_samples = composer.lags.get(audio, 0)
    values = {value: made[value] for value in card.values}
    graph.outputs = list(dict.fromkeys([*filter(None, [audio]), *values.values(), *(s.output for s in graph.states)]))
    return graph, audio, values, delay_samples


def bind(card: NetworkCard, network: Network) -> Graph:
    """Bind a network to one step: shapes, constants and states as its card says.

    Raises:
        CardError: a state's input and output do not exist or do not match; an output's size depends on the data.
        ModelError: shapes or constants that the network does not take.
    """
    if card.lift:
        graph = causal_step(find_lifted(card, network), steps_of(card))
    else:
        graph = specialise(network, card.shapes, card.constants, operators=RULED_OPERATORS)
    if graph.ragged:
        raise CardError(
            f"network {card.name!r}: the size of its output {next(iter(graph.ragged))!r} depends on the data, but "
            "every step of a stream gives equally many numbers; run the network whole with Model.run"
        )
    for source, target in card.states.items():
        if source not in graph.inputs or target not in graph.outputs:
            raise CardError(
                f"network {card.name!r}: states has {source} = {target!r}; its inputs are {', '.join(graph.inputs)}, "
                f"its outputs {', '.join(graph.outputs)}"
            )
        shape = graph.inputs[source].shape
        if math.prod(graph.types[target].shape) != math.prod(shape):
            raise CardError(
                f"network {card.name!r}: state {source!r} has shape {list(shape)}, but {target!r} has "
                f"{list(graph.types[target].shape)}"
            )
        graph.states.append(State(source, target, shape))
    return graph


def find_lifted(card: NetworkCard, network: Network) -> Bindings:
    """Find what streams in a network whose card names a streaming axis.

    Raises:
        CardError: the card has no shape for such an input, or that has no such axis.
        UnsupportedError: the network does not stream along it.
    """
    for name, axis in card.lift.items():
        if name not in card.shapes or not 0 <= axis < len(card.shapes[name]):
            raise CardError(f"network {card.name!r}: lift has {name} = {axis}, but shapes.{name} has no axis {axis}")
    if len({card.shapes[name][axis] for name, axis in card.lift.items()}) > 1:
        raise CardError(f"network {card.name!r}: the inputs of lift have unlike numbers of steps; the same would work")
    return find_axes(
        lambda shapes: specialise(network, shapes, card.constants, operators=RULED_OPERATORS, whole_scans=True),
        card.shapes,
        [StreamingAxis("the stream", card.lift)],
    )


def steps_of(card: NetworkCard) -> int:
    """How many steps of its streaming axis a lifted network gets at once."""
    name, axis = next(iter(card.lift.items()))
    return card.shapes[name][axis]


def certify_lift(card: NetworkCard, network: Network, backend: str) -> None:
    """Prove that a lifted network gives in steps what it gives at once.

    Raises:
        ModelError: it does not, so it can not stream.
    """
    plan = StreamPlan(find_lifted(card, network), [steps_of(card)], name=card.name, target=Target(backend))
    certify(plan, backend=backend)
