"""onnxruntime on one thread: a network stepped with its state carried from call to call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BackendError, ModelError


class Peer:
    """One network in onnxruntime.

    A step costs what it must: the feeds' dict stays, nothing is asked for but what is needed, and carried states are
    handed over as they came, without a copy.
    """

    def __init__(
        self,
        path: Path,
        *,
        states: Mapping[str, str] | None = None,
        constants: Mapping[str, np.ndarray] | None = None,
        state_shapes: Mapping[str, tuple[int, ...]] | None = None,
        outputs: list[str] | None = None,
    ) -> None:
        """Load a network.

        Args:
            states: state input -> the output that it is fed with in the next step; zeros in the first.
            constants: inputs that never change.
            state_shapes: of state inputs whose shape the file leaves open.
            outputs: what is asked for beside the states; all other outputs if None.

        Raises:
            BackendError: onnxruntime is not installed.
        """
        try:
            import onnxruntime
        except ImportError:
            raise BackendError("onnxruntime is not installed: pip install 'wavetile[bench]'") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3  # its warnings about unused initialisers are not ours to show
        self.session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._states = dict(states or {})
        carried = list(self._states.values())
        self.outputs = (
            [one.name for one in self.session.get_outputs() if one.name not in carried] if outputs is None else outputs
        )
        self._asked = self.outputs + carried
        self._carried_at = list(zip(self._states, range(len(self.outputs), len(self._asked)), strict=True))
        self._shapes = dict(state_shapes or {})
        self._declared = {one.name: one.shape for one in self.session.get_inputs()}
        self.feeds: dict[str, np.ndarray] = dict(constants or {})
        self.reset()

    def reset(self) -> None:
        """Put every state back to zeros."""
        for name in self._states:
            self.feeds[name] = np.zeros(self._shapes.get(name) or self._fixed(name), np.float32)

    def step(self) -> list[np.ndarray]:
        """Run on `feeds`, carry the states, and return `outputs` (then the states) in their order."""
        results = self.session.run(self._asked, self.feeds)
        for name, index in self._carried_at:
            self.feeds[name] = results[index]
        return results

    def _fixed(self, name: str) -> tuple[int, ...]:
        shape = self._declared[name]
        if not all(isinstance(size, int) for size in shape):
            raise ModelError(f"state {name!r} has the shape {shape}, which leaves sizes open")
        return tuple(shape)
