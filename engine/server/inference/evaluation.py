"""One request to a network: its tensors are read, evaluated and written on a compute thread, in its turn."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Executor
from dataclasses import dataclass

from ....proto.inference.v2 import inference_pb2 as pb
from ...errors import ModelError, SignalError
from ..activity import Evaluation
from ..jobs import in_pool
from .catalogue import NetworkEntry
from .parameters import Parameters
from .tensors import read_inputs, requested_outputs, write_outputs
from .turns import TurnQueue

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Evaluated:
    response: pb.ModelInferResponse
    started_ns: int
    read_ns: int
    computed_ns: int
    written_ns: int


async def evaluate(
    entry: NetworkEntry,
    request: pb.ModelInferRequest,
    parameters: Parameters,
    turns: TurnQueue,
    pool: Executor,
    evaluation: Evaluation,
    max_bytes: int,
) -> pb.ModelInferResponse:
    """Evaluate the network on the request's inputs; the answer has at most `max_bytes` of tensors.

    Raises SignalError for what is wrong with the request, and CallError when its turn does not come.
    """
    if parameters.sequence_id is not None:
        raise SignalError(
            f"model {entry.name!r} is a network and keeps nothing between requests; without sequence_id it would work"
        )
    arrived_ns = time.monotonic_ns()
    async with turns.turn(parameters.priority, parameters.timeout_s):
        done = await in_pool(pool, _evaluate, entry, request, max_bytes)
    counts = entry.counts
    queue_ns = done.started_ns - arrived_ns
    evaluation.computed(arrived_ns, queue_ns, done.computed_ns - done.read_ns)
    counts.queue.add(queue_ns)
    counts.compute_input.add(done.read_ns - done.started_ns)
    counts.compute_infer.add(done.computed_ns - done.read_ns)
    counts.compute_output.add(done.written_ns - done.computed_ns)
    return done.response


def _evaluate(entry: NetworkEntry, request: pb.ModelInferRequest, max_bytes: int) -> _Evaluated:
    started_ns = time.monotonic_ns()
    names = requested_outputs(request, [one.name for one in entry.outputs])
    inputs = read_inputs(request)
    read_ns = time.monotonic_ns()
    try:
        outputs = entry.network.run(inputs)
    except ModelError as error:
        # The network as such was accepted when the server started, so it is these inputs that do not go with it.
        logger.info("model %r can not be evaluated: %s", entry.name, error)
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in inputs.items())
        raise SignalError(
            f"model {entry.name!r} can not be computed for inputs of these shapes: {shapes}; the server's log says why"
        ) from error
    computed_ns = time.monotonic_ns()
    response = pb.ModelInferResponse(model_name=entry.name, model_version=entry.release.version, id=request.id)
    write_outputs(response, {name: outputs[name] for name in names}, max_bytes)
    return _Evaluated(response, started_ns, read_ns, computed_ns, time.monotonic_ns())
