"""Measures wavetile against its peers: results are compared first, then all sides take turns in one thread.

    python tests/benchmarks/run.py [--quick] [--json FILE] [--markdown FILE] [--seconds N] [NAME ...]

Weights are found through WAVETILE_MODELS, else in ../shared/models beside the repository; recordings in the folder
data beside them. It asserts no time: read the
table. `make bench-readme` puts the numbers of the last full `make bench` into the README.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.networks import Effort
    from tests.benchmarks.rows import Report, Row

REPOSITORY = Path(__file__).resolve().parents[2]
HALVES = (
    *("silero_vad/silero_vad_openvino_16k.onnx", "dtln/model_1.onnx", "dtln/model_2.onnx"),
    *("beatnet/beatnet_1_stream.onnx", "nsnet2/nsnet2-20ms-baseline.onnx", "resemblyzer/resemblyzer_stream.onnx"),
    *("deepfilternet3/enc.onnx", "deepfilternet3/erb_dec.onnx", "deepfilternet3/df_dec.onnx"),
)
"""Networks whose time is the reading of their weights: measured with half the bytes, too."""
HALF_STREAMS = ("silero_vad", "dtln", "nsnet2", "deepfilternet3")
STREAMS = ("silero_vad", "gtcrn", "dtln", "rnnoise", "nsnet2", "deepfilternet3")
# One thread a side: NumPy's own libraries, too.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SECONDS, QUICK_SECONDS = 4.0, 0.1
QUICK_SKIPS = ("deepbet3d", "dnsmos/sig", "meshnet3d", "retina_wnet", "threads")
"""What takes a second a call and more."""


def main() -> int:
    """Measure what was asked for and print the table."""
    options = _options()
    models = Path(os.environ.setdefault("WAVETILE_MODELS", str(REPOSITORY.parent / "shared" / "models")))
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    sys.path.append(str(REPOSITORY))  # for `tests`; `wavetile` is the installed one

    from tests.benchmarks import peers
    from tests.benchmarks.networks import Effort
    from tests.benchmarks.rows import Report, select
    from wavetile.engine.commands.console import counted_progress
    from wavetile.engine.commands.machine import machine_facts
    from wavetile.engine.commands.warmup import warm_up_visibly

    warm_up_visibly()
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    report = Report(machine_facts() | peers.missing_facts() | {"seconds a row": f"{seconds:g}"})
    with tempfile.TemporaryDirectory() as folder, counted_progress("measuring") as progress:
        topics = _topics(models, Path(folder), Effort(seconds, options.quick))
        names = select(list(topics), options.names)
        if options.quick and not options.names:
            names = [name for name in names if not any(skip in name for skip in QUICK_SKIPS)]
        for done, name in enumerate(names):
            progress(done, len(names), name)
            report.rows.append(topics[name]())
            _keep(report, options)
        progress(len(names), len(names), "")
    print(report.markdown())
    return 0


def _keep(report: Report, options: argparse.Namespace) -> None:
    """Write what is measured so far, so that an interrupted run has not been for nothing."""
    texts = {options.json: json.dumps(report.as_json(), indent=1), options.markdown: report.markdown()}
    for path, text in texts.items():
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n", "utf-8")


def _topics(models: Path, folder: Path, effort: Effort) -> dict[str, Callable[[], Row]]:
    """Everything that can be measured, by name."""
    from tests.benchmarks import audio_streams, networks, recurrent, threads
    from tests.models.real_networks import REAL_NETWORKS

    here = [real for real in REAL_NETWORKS if (models / real.path).exists()]
    topics: dict[str, Callable[[], Row]] = {}
    for name in STREAMS if here else ():
        topics[name] = partial(audio_streams.measure_stream, name, models, effort)
    for real in here:
        topics[real.path] = partial(networks.measure_network, real, models, effort)
        if real.path in HALVES:
            topics[f"{real.path}, float16"] = partial(networks.measure_network, real, models, effort, weights="float16")
    for name in HALF_STREAMS if here else ():
        topics[f"{name}, float16"] = partial(audio_streams.measure_stream, name, models, effort, weights="float16")
    if here:
        topics["deepfilternet3, three networks"] = partial(networks.measure_deepfilternet, models, effort)
        topics["threads"] = partial(threads.measure_threads, models, effort)
    for operator in recurrent.GATES:
        for hidden in recurrent.QUICK_HIDDEN if effort.quick else recurrent.HIDDEN:
            topics[f"{operator} {hidden}"] = partial(recurrent.measure_step, operator, hidden, folder, effort)
    return topics


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only rows whose name holds one of these")
    parser.add_argument(
        "--quick", action="store_true", help="under a minute: short, onnxruntime alone, no large volumes"
    )
    parser.add_argument(
        "--seconds", type=float, help=f"measuring time a row (default: {SECONDS}, quick: {QUICK_SECONDS})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table here too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
