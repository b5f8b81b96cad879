"""How many times faster than onnxruntime each piece of work is to be at least."""

from __future__ import annotations

TARGETS: dict[str, float] = {
    "gtcrn/gtcrn_simple.onnx": 20,
    "gtcrn": 20,
    "ul_unas/ulunas_stream_simple.onnx": 20,
    "fastenhancer/fastenhancer_b.spec.onnx": 6,
    "fastenhancer/fastenhancer_t.onnx": 6,
    "silero_vad/silero_vad_16k_op15.onnx": 4,
    "silero_vad/silero_vad_openvino_16k.onnx": 4,
    "silero_vad": 4,
    "dtln/model_1.onnx": 3,
    "dtln/model_2.onnx": 3,
    "dtln": 3,
    "rnnoise_v0/rnnoise_v0_core.onnx": 3,
    "rnnoise": 3,
    "beatnet/beatnet_1_stream.onnx": 3,
    "nam/nam_wavenet_stream.onnx": 3,
    "ml_kws/kws_DS_CNN_S.onnx": 3,
    "deepfilternet3/enc.onnx": 2,
    "deepfilternet3/erb_dec.onnx": 2,
    "deepfilternet3/df_dec.onnx": 2,
    "deepfilternet3, three networks": 2,
    "nuclei_unet/weights.onnx": 1.5,
    "sononet/sononet_smallnet.onnx": 1.5,
    "sononet/sononet16.onnx": 1.5,
    "mitosis/mitosis_patch.onnx": 1.5,
    "meshnet3d/meshnet_model5_gw_ae.onnx": 1.5,
    "meshnet3d/meshnet_model11_gw_ae.onnx": 1.5,
}

OTHER_TARGETS: dict[str, dict[str, float]] = {
    "deepfilternet3": {"libdf": 6},
    "deepfilternet3, three networks": {"libdf": 6},
    "nuclei_unet/weights.onnx": {"openvino": 1},
}
"""And than other peers."""

SMALL_HIDDEN = 64


def recurrent_target(hidden: int) -> float:
    """Of one step of an LSTM or GRU."""
    return 3 if hidden <= SMALL_HIDDEN else 1.5


def targets(name: str) -> dict[str, float]:
    """The targets of a row by peer; none for most."""
    return ({"onnxruntime": TARGETS[name]} if name in TARGETS else {}) | OTHER_TARGETS.get(name, {})
