"""Every network of the shared models: which sizes its free axes take, and what its inputs are filled with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from wavetile.engine.graph import Network

SEED = 11
QUIET_LEVEL = 0.1
"""Standard deviation of noise that stands for sound, whose full scale is 1, and for states."""


@dataclass(frozen=True)
class RealNetwork:
    """One file and how to feed it; standard normal numbers where nothing else is said."""

    path: str
    """Below the folder of models."""
    sizes: tuple[Mapping[str, int], ...] = ({},)
    """Sizes of the axes that the file leaves open, by their names: what one call of an application has comes first."""
    quiet: tuple[str, ...] = ()
    """Inputs that get noise of QUIET_LEVEL: waveforms, spectra, and states that would saturate the network."""
    recording: str = ""
    """What its one input is filled with instead: the beginning of a file, below the folder of data."""
    values: Mapping[str, int] = field(default_factory=dict)
    """Inputs that have one meaningful value."""
    tolerance: float = 1e-4
    """Largest |difference| relative to the largest |number| of an output."""
    reason: str = ""
    """Why the tolerance is not 1e-4."""
    amplifies: bool = False
    """Whether it amplifies rounding beyond 1e-4, onnxruntime's as well: then float64 says which result is good."""

    def inputs(self, network: Network, sizes: Mapping[str, int], data: Path) -> dict[str, np.ndarray]:
        """Inputs of these sizes, the same in every run.

        Args:
            data: the folder of recordings.
        """
        rng = np.random.default_rng(SEED)
        arrays = {}
        for name, declared in network.inputs.items():
            shape = [sizes[str(dim)] if not isinstance(dim, int) else dim for dim in declared.dims or ()]
            if name in self.values:
                arrays[name] = np.full(shape, self.values[name], declared.dtype)
            elif self.recording:
                samples, _ = soundfile.read(data / self.recording, frames=shape[-1], dtype="float32")
                arrays[name] = samples.reshape(shape)
            else:
                level = QUIET_LEVEL if name in self.quiet else 1.0
                arrays[name] = (level * rng.standard_normal(shape)).astype(declared.dtype)
        return arrays


STEPS = ({"S": 1}, {"S": 6}, {"S": 101})
BATCHES = ({"N": 1}, {"N": 3}, {"N": 16})
VOLUMES = ({"D": 64, "H": 64, "W": 64}, {"D": 20, "H": 17, "W": 24}, {"D": 33, "H": 8, "W": 40})

REAL_NETWORKS = (
    RealNetwork(
        "basic_pitch/nmp.onnx",
        ({"unk__749": 1}, {"unk__749": 2}, {"unk__749": 3}),
        quiet=("serving_default_input_2:0",),
    ),
    RealNetwork("beatnet/beatnet_1_stream.onnx", ({"T": 1}, {"T": 5}, {"T": 64})),
    RealNetwork("crema_chord/crema_chord.onnx", ({"T": 100}, {"T": 33}, {"T": 1})),
    RealNetwork("crepe/crepe_tiny.onnx", BATCHES),
    RealNetwork("ddc_onset/ddc_onset.onnx", BATCHES),
    RealNetwork(
        "deepbet3d/deepbet_model.onnx",
        tolerance=5e-4,
        reason="its 34 instance norms amplify rounding: onnxruntime's own result is 1.6e-4 from float64's, as is ours",
        amplifies=True,
    ),
    RealNetwork("deepfilternet3/df_dec.onnx", STEPS),
    RealNetwork("deepfilternet3/enc.onnx", STEPS),
    RealNetwork("deepfilternet3/erb_dec.onnx", STEPS),
    RealNetwork("dnsmos/model_v8.onnx", ({"N": 1}, {"N": 2}, {"N": 5})),
    RealNetwork("dnsmos/sig_bak_ovr.onnx", ({"N": 1}, {"N": 2}), quiet=("input_1",)),
    RealNetwork("dtln/model_1.onnx"),
    RealNetwork("dtln/model_2.onnx", quiet=("input_4",)),
    RealNetwork("fastenhancer/fastenhancer_b.onnx", quiet=("wav_in",)),
    RealNetwork("fastenhancer/fastenhancer_b.spec.onnx"),
    RealNetwork("fastenhancer/fastenhancer_s.spec.onnx"),
    RealNetwork("fastenhancer/fastenhancer_t.onnx", quiet=("wav_in",)),
    RealNetwork("gpvad/gpvad_sre.onnx"),
    RealNetwork("gtcrn/gtcrn.onnx", quiet=("mix",)),
    RealNetwork("gtcrn/gtcrn_simple.onnx", quiet=("mix",)),
    RealNetwork("hush/df_dec.onnx", STEPS),
    RealNetwork("hush/enc.onnx", STEPS),
    RealNetwork("hush/erb_dec.onnx", STEPS),
    RealNetwork("meshnet3d/meshnet_model11_gw_ae.onnx", VOLUMES),
    RealNetwork("meshnet3d/meshnet_model5_gw_ae.onnx", VOLUMES),
    RealNetwork("mitosis/mitosis_patch.onnx", BATCHES),
    RealNetwork("ml_kws/kws_CRNN_S.onnx"),
    RealNetwork("ml_kws/kws_DS_CNN_S.onnx"),
    RealNetwork("ml_kws/kws_GRU_S.onnx"),
    RealNetwork("nam/nam_wavenet_stream.onnx", ({"T": 64}, {"T": 17}, {"T": 1000}), quiet=("x",)),
    RealNetwork(
        "nsnet2/nsnet2-20ms-baseline.onnx",
        ({"batch_size": 1, "frames": 1}, {"batch_size": 2, "frames": 7}, {"batch_size": 5, "frames": 40}),
    ),
    RealNetwork("nuclei_unet/weights.onnx"),
    RealNetwork("resemblyzer/resemblyzer_stream.onnx", ({"T": 1}, {"T": 20}, {"T": 160})),
    RealNetwork(
        "retina_unet/retina_unet_flip1.onnx",
        ({"N": 1, "H": 48, "W": 48}, {"N": 2, "H": 32, "W": 64}, {"N": 1, "H": 96, "W": 16}),
    ),
    RealNetwork("retina_wnet/lwnet_wnet_drive.onnx", ({"H": 512, "W": 512}, {"H": 64, "W": 96}, {"H": 160, "W": 32})),
    RealNetwork("rnnoise_v0/rnnoise_v0_core.onnx"),
    RealNetwork(
        "silero_vad/silero_vad_16k_op15.onnx",
        ({"batch": 1, "sequence": 576}, {"batch": 3, "sequence": 576}, {"batch": 16, "sequence": 576}),
        quiet=("input", "state"),
        values={"sr": 16000},
    ),
    RealNetwork("silero_vad/silero_vad_openvino_16k.onnx", quiet=("input", "state")),
    RealNetwork("sononet/sononet16.onnx"),
    RealNetwork("sononet/sononet_smallnet.onnx"),
    RealNetwork(
        "swift_f0/model.onnx",
        ({"audio_length": 16000}, {"audio_length": 5000}, {"audio_length": 1024}),
        quiet=("input_audio",),
    ),
    RealNetwork("ul_unas/ulunas_stream_simple.onnx", quiet=("mix",)),
    RealNetwork("wakeword/Alice.onnx"),
    RealNetwork("wakeword/embedding_model.onnx", ({"unk__314": 1}, {"unk__314": 3}, {"unk__314": 8})),
    RealNetwork(
        "wakeword/melspectrogram.onnx",
        ({"batch_size": 1, "samples": 1760}, {"batch_size": 2, "samples": 5120}, {"batch_size": 3, "samples": 16003}),
        quiet=("input",),
    ),
    RealNetwork(
        "yamnet/tfl_yamnet_audio_classifier_with_metadata.onnx",
        recording="audio_events/speech.wav",
        tolerance=1 / 128,
        reason="activations of 8 bits: a sum that ends between two of them may be rounded either way",
    ),
)
