"""Machine code of the native functions: kept in the user's cache, made where it is missing, loaded once a process.

Loading takes LLVM alone. The compiler takes longer to import than all of wavetile, so it is imported only where code is
missing. An index, one for each state of the sources, says which files hold their code; it is keyed by what the file
system tells of the sources, since reading them all would take longer than loading what they are needed for.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path

from llvmlite import binding

from ..cache import cache_folder
from ..errors import KernelError

COMPLETE = "*"
"""Line of the index that says: every function is there."""

_COMPILER_SETTINGS = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX", "NUMBA_OPT")

_LOADING = threading.RLock()
_ADDRESSES: dict[str, int] = {}


def kernel_folder() -> Path:
    """Where machine code is kept."""
    return cache_folder() / "kernels"


@cache
def machine() -> str:
    """What code depends on beside its source: compiler, its settings, and the processor with its features."""
    return repr(
        (
            metadata.version("numba"),
            metadata.version("llvmlite"),
            sys.version_info[:2],
            [os.environ.get(name) for name in _COMPILER_SETTINGS],
            binding.get_host_cpu_name(),
            binding.get_host_cpu_features().flatten(),
        )
    )


def address(name: str) -> int:
    """Address of the native function of this name.

    Raises:
        KernelError: it does not compile, or its code can not be written to the cache.
    """
    with _LOADING:
        if name not in _ADDRESSES:
            code = _kept_code(name)
            _ADDRESSES[name] = _load(name, make(name) if code is None else code)
        return _ADDRESSES[name]


def make(name: str) -> bytes:
    """The object file of a native function, from the cache if its source is the same; enters it into the index.

    Raises:
        KernelError: it does not compile, or its code can not be written to the cache.
    """
    from . import kernels as _kernels  # noqa: F401  (registers them)
    from .native import NATIVE, object_code, source_digest

    if name not in NATIVE:
        raise KernelError(f"there is no native function {name!r}")
    function = NATIVE[name]
    path = kernel_folder() / f"{name}-{source_digest(function.source)}.o"
    try:
        code = path.read_bytes()
    except OSError:
        code = object_code(function)
        _write(path, code)
    _append(name, path.name)
    return code


def is_complete() -> bool:
    """Tell whether the code of every function is kept, for the sources as they are and this processor."""
    index = read_index()
    return COMPLETE in index and all((kernel_folder() / file).is_file() for file in index.values() if file)


def mark_complete() -> None:
    """Note in the index that every function has been made.

    Raises:
        KernelError: the cache can not be written.
    """
    _append(COMPLETE, "")


def read_index() -> dict[str, str]:
    """Names of functions, and of the files below `kernel_folder()` that hold their code."""
    try:
        lines = _index().read_text("utf-8").splitlines()
    except OSError:
        return {}
    return {name: file for name, _, file in (line.partition(" ") for line in lines)}


def _kept_code(name: str) -> bytes | None:
    file = read_index().get(name)
    if not file:
        return None
    try:
        return (kernel_folder() / file).read_bytes()
    except OSError:
        return None


def _load(name: str, code: bytes) -> int:
    engine = _engine()
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine.get_function_address(symbol(name))


def symbol(name: str) -> str:
    """What a native function is called in its object file."""
    return f"wavetile_{name}"


@cache
def _engine() -> binding.ExecutionEngine:
    """One for all functions, so that they share pages."""
    return binding.create_mcjit_compiler(binding.parse_assembly(""), target_machine())


def target_machine(processor: str = "", features: str = "") -> binding.TargetMachine:
    """What emits and loads object files; they fit together if both come from here."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple())
    relocation = "static" if target.name.startswith("x86") else "default"
    options = {"opt": 3, "reloc": relocation, "codemodel": "jitdefault", "jit": True}
    return target.create_target_machine(cpu=processor, features=features, **options)


@cache
def _key() -> str:
    """A digest of the machine and of place, time and size of every file that native functions are made from."""
    digest = hashlib.sha256(machine().encode())
    here = Path(__file__).parent
    for path in sorted((*here.glob("*.py"), *here.parent.glob("*.py"), *here.parent.glob("schemas/*.py"))):
        status = path.stat()
        digest.update(repr((str(path), status.st_mtime_ns, status.st_size)).encode())
    return digest.hexdigest()[:16]


def _index() -> Path:
    return kernel_folder() / f"index-{_key()}"


def _append(name: str, file: str) -> None:
    """Add a line to the index: short, in one write, so that lines of processes side by side stay whole."""
    with _says_what_to_do(), _index().open("ab") as index:
        index.write(f"{name} {file}\n".encode())


def _write(path: Path, code: bytes) -> None:
    """Write a file that others see either whole or not at all."""
    with _says_what_to_do():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        partial.write_bytes(code)
        partial.replace(path)


@contextmanager
def _says_what_to_do() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KernelError(
            f"compiled kernels can not be kept in {kernel_folder()} ({error}); set WAVETILE_CACHE to a folder that can"
        ) from error
