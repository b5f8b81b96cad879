"""Say what a model takes, gives and costs.

Costs are those of one step of its stream (one frame on one channel); of a network that only runs as a whole, those of
one evaluation. Axes that a bare network leaves open are given with --shape. The floor is what this machine's
multiply-add units and memory, measured on the spot, would need for the same program if they never waited. With
--backend cuda, which executor runs the program on the card, and what each took when it was tried there.

With --axis, what a bare network does as a stream: its steps, the proof that they give the numbers of the whole, and for
every value how far it lags and how much of it is kept. With --hop as well, what it does on windows of the signal: what
they have in common, and how much computing that once saves.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import above_zero, positive
from .describe_card import choice_rows, choices
from .describe_page import write_page
from .describe_stream import planned, print_stream, say_windows, stream_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...kernels.table import Choice
    from ..models.description import ModelDescription
    from ..models.model import Model
    from ..plan import Program
    from .floor import Floor

NAME = "describe"
SUMMARY = "a model's operators, program, costs and delay"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model and the form of the answer."""
    parser.add_argument(
        "model", metavar="MODEL", help="a model's name, or the path of a card (.toml) or network (.onnx)"
    )
    parser.add_argument(
        "--shape", action="append", default=[], metavar="INPUT=1,3,64", help="an input's shape, for a bare network"
    )
    parser.add_argument(
        "--axis",
        action="append",
        default=[],
        metavar="NAME",
        help="a free dimension of a bare network along which it is to stream, or INPUT=2 for any of an input's; twice "
        "for tiles, the inner one last",
    )
    parser.add_argument("--step", type=positive, metavar="N", help="elements along --axis that make a step")
    parser.add_argument(
        "--size", action="append", default=[], metavar="NAME=64", help="of a free dimension that does not stream"
    )
    parser.add_argument(
        "--rate", type=above_zero, metavar="HZ", help="elements a second along --axis, to tell delays in ms"
    )
    parser.add_argument("--hop", type=positive, metavar="N", help="elements along --axis from one window to the next")
    parser.add_argument("--window", type=positive, metavar="N", help="elements of a window, where the file fixes none")
    parser.add_argument("--page", type=Path, metavar="FILE.html", help="with --axis: draw the graph as a page")
    parser.add_argument("--backend", default="cpu", help="cpu, cuda or reference (default: cpu)")
    parser.add_argument("--listing", action="store_true", help="the program, an instruction a line")
    parser.add_argument("--json", action="store_true", help="JSON instead of tables")


def execute(options: argparse.Namespace) -> int:
    """Describe the model."""
    import json
    import sys

    from ..errors import ModelError, SignalError
    from .weights import load_visibly

    model = load_visibly(options.model, backend=options.backend)
    if options.hop or options.window:
        if options.step or options.page:
            raise SignalError("--step and --page are of a stream; --hop and --window without them would work")
        say_windows(model, options.axis, options.window, options.hop, options.size, as_json=options.json)
        return 0
    if options.axis:
        proved = planned(model, options.axis, options.step, options.size, options.rate)
        if options.page:
            write_page(options.page, proved)
        if options.json:
            json.dump(stream_facts(proved), sys.stdout, indent=2)
            sys.stdout.write("\n")
        else:
            print_stream(proved)
        return 0
    program = _program(model, options.shape)
    about = model.describe()
    if options.listing:
        if program is None:
            raise ModelError(f"model {model.name!r} leaves shapes open, so it has no program yet; --shape gives them")
        sys.stdout.write(f"{program.listing()}\n")
        return 0
    floor = _floor(program) if options.backend == "cpu" else None
    executors = choices(model, program) if program is not None and options.backend == "cuda" else ()
    if options.json:
        json.dump(facts(about, program, floor, executors), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print(about, program, floor, executors)
    return 0


def facts(about: ModelDescription, program: Program | None, floor: Floor | None, executors: Sequence[Choice]) -> dict:
    """Everything that is said about a model, for JSON; costs, kernels and floor are None without a program."""
    from dataclasses import asdict

    content = asdict(about)
    content["operators"] = dict(about.operators)
    content["delay_ms"] = _milliseconds(about.delay_samples, about.sample_rate_hz)
    content["hop_ms"] = _milliseconds(about.hop_samples, about.sample_rate_hz)
    content["kernels"] = None if program is None else dict(program.kernel_counts().most_common())
    for name in ("instruction_count", "multiply_adds", "weight_bytes", "state_bytes", "arena_bytes"):
        content[name] = None if program is None else getattr(program, name)
    if floor is not None:
        names = ("arithmetic_us", "memory_us", "floor_us", "bound", "distance")
        content["floor"] = asdict(floor) | {name: getattr(floor, name) for name in names}
    if executors:
        content["executors"] = [asdict(choice) for choice in executors]
    return content


def _floor(program: Program | None) -> Floor | None:
    """What this machine allows. Importing it loads the compiler, so a network of open shapes does without."""
    if program is None:
        return None
    from .floor import measure_floor

    return measure_floor(program)


def _program(model: Model, shapes: list[str]) -> Program | None:
    """The stream's program, or that of the whole network if its shapes are known."""
    from ..errors import SignalError

    if model.card is not None and model.card.signal.kind != "image":
        if shapes:
            raise SignalError(f"--shape {shapes[0]}: the shapes of {model.name!r} are its card's")
        return model.stream_spec.program
    return model.program(_read_shapes(shapes))


def _read_shapes(texts: list[str]) -> dict[str, tuple[int, ...]]:
    from ..errors import SignalError

    shapes = {}
    for text in texts:
        name, equals, sizes = text.rpartition("=")
        try:
            shapes[name] = tuple(int(size) for size in sizes.split(","))
        except ValueError:
            equals = ""
        if not equals:
            raise SignalError(f"--shape {text}: INPUT=1,3,64 would work")
    return shapes


def _print(about: ModelDescription, program: Program | None, floor: Floor | None, executors: Sequence[Choice]) -> None:
    from rich.table import Table

    from .console import in_bytes, in_count, output

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = [("model", f"{about.name}: {about.title}" if about.title else about.name)]
    if about.licence:
        rows.append(("weights", f"{about.licence}; {about.attribution}"))
    rows += [(f"input {one.name}", f"{one.dtype} [{', '.join(one.shape)}]") for one in about.inputs]
    rows += [(f"output {one.name}", f"{one.dtype} [{', '.join(one.shape)}]") for one in about.outputs]
    if about.pixels is not None:
        rows.append(("pixels", str(about.pixels)))
    if about.sample_rate_hz:
        hop_ms = _milliseconds(about.hop_samples, about.sample_rate_hz)
        rows.append(("signal", f"{about.sample_rate_hz} Hz, a step every {about.hop_samples} samples ({hop_ms:g} ms)"))
        delay_ms = _milliseconds(about.delay_samples, about.sample_rate_hz)
        rows.append(("delay", f"{about.delay_samples} samples ({delay_ms:g} ms)"))
    elif about.feature_count:
        rows.append(("signal", f"frames of {about.feature_count} features"))
    gives = (["enhanced audio"] if about.returns_audio else []) + list(about.value_names)
    if gives:
        rows.append(("stream gives", ", ".join(gives)))
    rows.append(("nodes", f"{sum(about.operators.values())}: {_counts(about.operators)}"))
    if program is None:
        rows.append(("program", "none yet: the network leaves shapes open, which --shape gives"))
    else:
        rows += [
            ("instructions", f"{program.instruction_count}: {_counts(program.kernel_counts())}"),
            ("multiply-adds", f"{in_count(program.multiply_adds)} a step{_products(about.products)}"),
            ("weights", f"{in_bytes(program.weight_bytes)}{_rounded(about.weights)}"),
            ("state", f"{in_bytes(program.state_bytes)} a stream and channel"),
            ("activations", in_bytes(program.arena_bytes)),
        ]
    if floor is not None:
        rows += _floor_rows(floor)
    for row in rows + choice_rows(executors):
        table.add_row(*row)
    output().print(table)


def _rounded(weights: Mapping[str, str]) -> str:
    """Which networks keep rounded weights."""
    halved = [name for name, kept in weights.items() if kept == "float16"]
    return f"; those of products and recurrent layers of {', '.join(halved)} rounded to float16" if halved else ""


def _products(products: Mapping[str, str]) -> str:
    """Which networks round what their convolutions multiply."""
    kinds = [f"{name} to {kind}" for name, kind in products.items() if kind != "float32"]
    return f"; operands of convolutions rounded: {', '.join(kinds)}" if kinds else ""


def _floor_rows(floor: Floor) -> list[tuple[str, str]]:
    from .console import in_bytes, in_count, in_time

    moved = in_bytes(floor.weight_bytes + floor.activation_bytes)
    weights, activations = (
        in_bytes(round(rate)) for rate in (floor.weight_bytes_per_second, floor.activation_bytes_per_second)
    )
    parts = f"arithmetic {in_time(floor.arithmetic_us)}, memory {in_time(floor.memory_us)}"
    return [
        ("moved", f"{moved} a step: {in_bytes(floor.weight_bytes)} of weights, the rest activations and state"),
        ("one core", f"{in_count(floor.multiply_adds_per_second)} multiply-adds a second"),
        ("it reads", f"weights of this size at {weights} a second, activations at {activations} a second"),
        ("floor", f"{in_time(floor.floor_us)} a step, bound by {floor.bound} ({parts})"),
        ("measured", f"{in_time(floor.step_us)} a step, {floor.distance:.2g} times the floor"),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {count}" for name, count in ordered)


def _milliseconds(samples: int, sample_rate_hz: int) -> float:
    return 1000 * samples / sample_rate_hz if sample_rate_hz else 0.0
