"""One request of a sequence: its part of the signal is fed, and what that completes is its answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import numpy as np

from ....proto.inference.v2 import inference_pb2 as pb
from ...errors import SignalError
from ..status import quoted
from .catalogue import StreamEntry
from .parameters import Parameters
from .sequences import Owner, SequenceTable
from .tensors import read_inputs, requested_outputs, write_outputs

Send = Callable[[pb.ModelInferResponse, bool], Awaitable[None]]
"""Takes an answer, and whether it is the request's last."""


async def advance(
    entry: StreamEntry,
    request: pb.ModelInferRequest,
    parameters: Parameters,
    sequences: SequenceTable,
    owner: Owner,
    send: Send,
    max_bytes: int,
) -> None:
    """Feed a request's input to its sequence among those of `owner`, and send the answer, or the answers.

    Raises SignalError for what is wrong with the request, CallError when the sequence can not be opened.
    """
    counts = entry.counts
    started_ns = time.monotonic_ns()
    names = requested_outputs(request, [one.name for one in entry.outputs])
    (expected,) = entry.inputs
    names_in = [one.name for one in request.inputs[:2]]
    if names_in != [expected.name]:
        given = f"{len(request.inputs)} inputs" if len(names_in) != 1 else f"input {quoted(names_in[0])}"
        raise SignalError(f"{given} for model {entry.name!r}; {expected.name!r} alone would work")
    inputs = read_inputs(request)
    counts.compute_input.add(time.monotonic_ns() - started_ns)

    async def emit(outputs: dict[str, np.ndarray]) -> None:
        computed_ns = time.monotonic_ns()
        answer = _answer(entry, request)
        write_outputs(answer, {name: outputs[name] for name in names}, max_bytes)
        counts.compute_output.add(time.monotonic_ns() - computed_ns)
        await send(answer, not parameters.several_answers)

    await sequences.exchange(owner, entry, parameters, inputs[expected.name], emit)
    if parameters.several_answers:
        await send(_answer(entry, request), True)


def _answer(entry: StreamEntry, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
    return pb.ModelInferResponse(model_name=entry.name, model_version=entry.release.version, id=request.id)
