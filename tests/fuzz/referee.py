"""Other runtimes, each in a process of its own: a damaged network may crash them, or keep them for ever."""

from __future__ import annotations

import multiprocessing as mp
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.fuzz.silence import BEAT_S, Silence
from tests.fuzz.trial import limit_memory

MEMORY_BYTES = 2 << 30
PATIENCE_S = 5.0

Inputs = Mapping[str, np.ndarray]


class Referee:
    """A runtime by name ("onnxruntime", or "onnx": ONNX's own evaluator), which is started again when it is gone."""

    def __init__(self, runtime: str) -> None:
        self.runtime = runtime
        self._process: Any = None

    def outputs(self, network: bytes, inputs: Inputs) -> list[np.ndarray] | None:
        """What the network gives, in the order of its outputs; None: the runtime does not take it, or failed."""
        if self._process is None:
            self._process = self._started()
        silence = Silence(self._process.pid)
        try:
            self._pipe.send((network, dict(inputs)))
            while not self._pipe.poll(BEAT_S):
                if silence.beat() > PATIENCE_S:
                    return self._lost()
            return self._pipe.recv()
        except (EOFError, OSError):  # it has died
            return self._lost()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._lost()

    def _started(self) -> Any:
        context = mp.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(self.runtime, theirs), daemon=True)
        process.start()
        theirs.close()
        self._pipe.recv()  # it is ready
        return process

    def _lost(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()
        self._process = None


def _serve(runtime: str, pipe: Any) -> None:
    run = RUNTIMES[runtime]()
    limit_memory(MEMORY_BYTES)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # it has much to say about what is wrong with damaged networks
    pipe.send(None)
    while True:
        try:
            network, inputs = pipe.recv()
        except EOFError:
            return
        try:
            answer = [np.asarray(output) for output in run(network, inputs)]
        except BaseException:  # noqa: BLE001 - whatever it is, there is nothing to compare with
            answer = None
        pipe.send(answer)


def _onnxruntime() -> Callable[[bytes, Inputs], Any]:
    import onnx

    from tests.plan.networks import run_onnxruntime

    return lambda network, inputs: run_onnxruntime(onnx.ModelProto.FromString(network), inputs, as_written=True)


def _onnx() -> Callable[[bytes, Inputs], Any]:
    import onnx
    from onnx.reference import ReferenceEvaluator

    def run(network: bytes, inputs: Inputs) -> Any:
        with np.errstate(all="ignore"):
            return ReferenceEvaluator(onnx.ModelProto.FromString(network)).run(None, dict(inputs))

    return run


RUNTIMES = {"onnxruntime": _onnxruntime, "onnx": _onnx}
