"""Feeds the loader and the server mutated input until something breaks: `python tests/fuzz/run.py networks|messages`.

Every trial has a number, which alone decides what it is: `--first N --count 1` makes one again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz import messages, networks
from tests.fuzz.trial import run_trials, show_progress

KINDS = {"networks": (networks.prepare, 10_000, 2 << 30), "messages": (messages.prepare, 100_000, 2 << 30)}
"""What makes the trials, how many there are, and the memory that they may take."""


def main() -> int:
    """Run, and say how it went; 1 if something broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first trial (default: 0)")
    parser.add_argument("--count", type=int, metavar="N", help="how many (default: 10,000 networks, 100,000 messages)")
    options = parser.parse_args()
    prepare, count, memory_bytes = KINDS[options.kind]
    numbers = range(options.first, options.first + (options.count or count))
    started = time.monotonic()
    outcome = run_trials(prepare, numbers, memory_bytes, show_progress(len(numbers)))
    print(*outcome.lines(), sep="\n")
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
