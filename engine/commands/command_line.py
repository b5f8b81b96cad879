"""Reads the command line, runs the command, and turns wavetile's errors into one red line and an exit status.

Exit status: 0 done; 1 a WavetileError, told in one line; 2 a command line that can not be read; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ... import __version__
from ...kernels.errors import KernelError
from ..errors import WavetileError
from . import bench, demo, describe, load, models, run, serve, token, warmup

COMMANDS = (serve, token, run, load, models, describe, bench, warmup, demo)
"""Modules with a `NAME`, a `SUMMARY`, `add_arguments(parser)` and `execute(options) -> exit status`.

They import what they need inside `execute`: a command costs the start-up time of what it uses.
"""

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (those of the process if None) name; return the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        return options.execute(options)
    except (WavetileError, KernelError) as error:
        if options.debug:
            raise
        from .console import fail

        fail("; ".join([str(error), *getattr(error, "__notes__", [])]))
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (`| head`) has gone. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--debug", action="store_true", help="show the traceback of an error, not its text alone")
    parser = argparse.ArgumentParser(
        prog="wavetile", description="Runs trained ONNX networks on signals that are still arriving."
    )
    parser.add_argument("--version", action="version", version=f"wavetile {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in COMMANDS:
        command = commands.add_parser(
            module.NAME, help=module.SUMMARY, description=module.__doc__, parents=[everywhere],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        module.add_arguments(command)
        command.set_defaults(execute=module.execute)
    return parser
