"""Writes docs/cuda-resources.md, what CUDA's compiler gives each function: `python -m tests.kernels.cuda.report`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from wavetile.kernels.cuda.source import FAMILIES, NAMES, entries, source

from .compilers import ARCHITECTURES, MISSING, Resources, compiler, resources

TARGET = Path(__file__).resolve().parents[3] / "docs" / "cuda-resources.md"
_TITLE = """\
# What the compiler gives each CUDA function

Written by `python -m tests.kernels.cuda.report` with {compiler}; not for editing. `_grid` runs an instruction on many
blocks, `_block` on one block a lane, `_tiles` on a block a tile, `_lanes` on blocks that each take several lanes;
`walk` runs all instructions of a program (the resident interpreter). Registers and stack (local memory) are of a
thread, shared memory is of a block and of the size that is known when it is compiled. A spill fails `make test`. A
number for {architectures}, or one where all are the same.

| file | function | registers | shared bytes | stack bytes | spilled bytes |
| --- | --- | ---: | ---: | ---: | ---: |
"""


def table(compiler_name: str, found: Mapping[str, Mapping[str, Sequence[Resources]]]) -> str:
    """The page: file -> function -> what it takes, by architecture."""
    rows = [
        f"| {file} | `{function}` | {' | '.join(_cells(taken))} |"
        for file, functions in found.items()
        for function, taken in functions.items()
    ]
    title = _TITLE.format(compiler=compiler_name, architectures=", ".join(ARCHITECTURES))
    return title + "\n".join(rows) + "\n"


def measured() -> dict[str, dict[str, list[Resources]]]:
    """What each function of each file takes, by architecture. Raises CompileError."""
    found = {
        f"{name}.cuh": _by_architecture(
            [entry.function for entry in entries(family.names)], source(family.names, resident=False)
        )
        for name, family in FAMILIES.items()
    }
    found["all"] = _by_architecture(["walk"], source(NAMES))
    return found


def _by_architecture(functions: Sequence[str], code: str) -> dict[str, list[Resources]]:
    compiled = [resources(code, architecture) for architecture in ARCHITECTURES]
    return {function: [one[function] for one in compiled] for function in functions}


def _cells(taken: Sequence[Resources]) -> list[str]:
    columns = [list(map(str, numbers)) for numbers in zip(*taken, strict=True)]
    return [numbers[0] if len(set(numbers)) == 1 else ", ".join(numbers) for numbers in columns]


def main() -> int:
    """Compile everything and write the page."""
    found = compiler()
    if found is None:
        sys.exit(MISSING)
    TARGET.write_text(table(found.name, measured()), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
