"""Certificates of streams, kept in the user's cache: what was proved once on this machine is not proved again.

A certificate holds for one network, one choice of axes and sizes, one back end with the card that it computes on, and
the code that plans and computes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path

from ...kernels.cache import cache_folder, write_whole
from ...kernels.cpu.machine_code import machine
from ..plan.streaming import AxisFacts, Certificate

_PACKAGE = Path(__file__).parents[2]
_CODE = ("engine/graph", "engine/plan", "engine/models", "kernels")
"""Folders of the package whose code a certificate depends on."""
_LIBRARIES = ("numpy", "onnx")
"""Others' code that folds constants, finds shapes and is the reference, beside what `machine` names."""
_SUFFIXES = frozenset({".py", ".cuh"})
"""Of files with code."""


def certificate_folder() -> Path:
    """Where certificates are kept."""
    return cache_folder() / "certificates"


def kept_certificate(subject: object, prove: Callable[[], Certificate]) -> Certificate:
    """The certificate of a stream, from the cache, or made now and kept.

    Args:
        subject: what is proved; its `repr` says all that the certificate depends on but for the code and the machine.
        prove: makes the certificate. If it raises, nothing is kept.
    """
    libraries = [metadata.version(name) for name in _LIBRARIES]
    digest = hashlib.blake2b(repr((subject, machine(), libraries, code_digest())).encode(), digest_size=16).hexdigest()
    path = certificate_folder() / f"{digest}.json"
    kept = _read(path)
    if kept is None:
        kept = prove()
        # Where the cache can not be written, the next start proves again, which costs time alone.
        with suppress(OSError):
            write_whole(path, json.dumps(asdict(kept)).encode())
    return kept


@cache
def code_digest() -> str:
    """Of the sources of all that plans and computes."""
    digest = hashlib.blake2b(digest_size=16)
    for path in _sources():
        digest.update(f"{path.relative_to(_PACKAGE)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    for folder in _CODE:
        yield from sorted(path for path in (_PACKAGE / folder).rglob("*") if path.suffix in _SUFFIXES)


def _read(path: Path) -> Certificate | None:
    """The certificate in a file; None if there is none, or the file is not whole."""
    try:
        content = json.loads(path.read_text("utf-8"))
        return Certificate(
            axes=tuple(AxisFacts(**axis) for axis in content.pop("axes")),
            lengths=tuple(content.pop("lengths")),
            multiply_adds=tuple(content.pop("multiply_adds")),
            **content,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
