"""Measures wavetile against onnxruntime: results are compared first, then both sides take turns in one thread.

    python tests/benchmarks/run.py [--json FILE] [--seconds N] [NAME ...]

Weights are found through WAVETILE_MODELS, else in ../shared/models beside the repository; a model whose weights are not
there gets a row that says so. It asserts no time: read the table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
AUDIO_MODELS = ("silero_vad", "gtcrn", "dtln", "rnnoise", "nsnet2")
# One thread a side: NumPy's own libraries, too.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> int:
    """Measure what was asked for and print the table."""
    options = _options()
    models = Path(os.environ.setdefault("WAVETILE_MODELS", str(REPOSITORY.parent / "shared" / "models")))
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    sys.path.append(str(REPOSITORY))  # for `tests`; `wavetile` is the installed one

    from tests.benchmarks import audio_streams, images
    from tests.benchmarks.rows import Missing, Report, Row, select
    from wavetile.engine.commands.machine import machine_line
    from wavetile.engine.commands.warmup import warm_up_visibly
    from wavetile.engine.commands.weights import is_here
    from wavetile.engine.models.card import find_card

    warm_up_visibly()
    topics: dict[str, Callable[[float], Row]] = {
        name: partial(audio_streams.measure, name, models) for name in AUDIO_MODELS
    }
    topics["silero_vad without If"] = partial(audio_streams.measure_silero_without_branches, models)
    topics["nuclei_unet"] = partial(images.measure_unet, models)
    report = Report(machine_line())
    for name in select(list(topics), options.names):
        if is_here(find_card(name.split()[0])):
            print(f"measuring {name}", file=sys.stderr)
            report.rows.append(topics[name](options.seconds))
        else:
            report.rows.append(Missing(name, f"no weights below {models}"))
    print(report.markdown())
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=2) + "\n", "utf-8")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only rows whose name holds one of these")
    parser.add_argument("--seconds", type=float, default=5.0, help="measuring time a row (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
