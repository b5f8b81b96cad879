"""Machine code of the native functions: kept in the user's cache, made where it is missing, loaded once a process.

Loading takes LLVM alone. The compiler takes longer to import than all of wavetile, so it is imported only where code is
missing. An index, one for each state of the sources, says which files hold their code.

LLVM ends the process, or loads nonsense, when an object file is not whole. So each file ends with a digest of the code
before it, and what does not fit its digest is made again.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path

from llvmlite import binding

from ..cache import cache_folder, write_whole
from ..errors import KernelError

COMPLETE = "*"
"""Line of the index that says how many functions there are, once all of them have been made."""

_COMPILER_SETTINGS = tuple(
    f"NUMBA_{name}"
    for name in ("CPU_NAME", "CPU_FEATURES", "ENABLE_AVX", "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO")
)

_DIGEST_BYTES = 16

_LOADING = threading.RLock()
_ADDRESSES: dict[str, int] = {}


def kernel_folder() -> Path:
    """Where machine code is kept."""
    return cache_folder() / "kernels"


@cache
def machine() -> str:
    """What code depends on beside its source: compiler, its settings, system, and the processor with its features."""
    return repr(
        (
            metadata.version("numba"),
            metadata.version("llvmlite"),
            sys.version_info[:2],
            [os.environ.get(name) for name in _COMPILER_SETTINGS],
            binding.get_process_triple(),
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
    code = _read(path)
    if code is None:
        code = object_code(function)
        _replace(path, code + _digest(code))
    _append(name, path.name)
    return code


def is_complete() -> bool:
    """Tell whether the code of every function is kept, for the sources as they are and this processor."""
    index = read_index()
    count = index.pop(COMPLETE, "")
    return count == str(len(index)) and all((kernel_folder() / file).is_file() for file in index.values())


def mark_complete(names: Collection[str]) -> None:
    """Write the index anew, now that the functions of these names have been made, which are all that there are.

    Raises:
        KernelError: the cache can not be written.
    """
    # Names that another process has deleted meanwhile are not there, so that the number shows it.
    index = read_index()
    lines = [f"{name} {index[name]}\n" for name in names if name in index]
    _replace(_index(), "".join([*lines, f"{COMPLETE} {len(names)}\n"]).encode())


def read_index() -> dict[str, str]:
    """Names of functions, and of the files below `kernel_folder()` that hold their code."""
    try:
        lines = _index().read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {name: file for name, _, file in (line.partition(" ") for line in lines if line)}


def _kept_code(name: str) -> bytes | None:
    file = read_index().get(name)
    return _read(kernel_folder() / file) if file else None


def _load(name: str, code: bytes) -> int:
    engine = _engine()
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    found = engine.get_function_address(symbol(name))
    if not found:
        raise KernelError(f"the object file of {name!r} has no function {symbol(name)!r}")
    return found


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
    """A digest of the machine and of every file that native functions are made from.

    Not of their times: they all are the same in some installations, and copies of a folder have others.
    """
    digest = hashlib.sha256(machine().encode())
    here = Path(__file__).parent
    for folder in (here, here.parent, here.parent / "schemas"):
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix == ".py")
        except OSError as error:
            raise KernelError(
                f"kernels are compiled from their source files, which are not in {folder} ({error}); an installation "
                "in a folder would work, a zip file does not"
            ) from error
        for path in paths:
            source = path.read_bytes()
            digest.update(f"{path.name} {len(source)} ".encode() + source)
    return digest.hexdigest()[:16]


def _index() -> Path:
    return kernel_folder() / f"index-{_key()}"


def _append(name: str, file: str) -> None:
    """Add a line to the index: short, in one write, so that lines of processes side by side stay whole.

    It begins on a line of its own even if a process was ended within the line before.
    """
    index = _index()
    with _says_what_to_do():
        index.parent.mkdir(parents=True, exist_ok=True)
        with index.open("ab") as lines:
            lines.write(f"\n{name} {file}\n".encode())


def _read(path: Path) -> bytes | None:
    """The code in an object file of the cache; None if there is none, or it does not fit its digest."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError):  # ValueError: an index that is not whole names a file that can not be
        return None
    code = content[:-_DIGEST_BYTES]
    return code if content[-_DIGEST_BYTES:] == _digest(code) else None


def _replace(path: Path, content: bytes) -> None:
    with _says_what_to_do():
        write_whole(path, content)


def _digest(code: bytes) -> bytes:
    return hashlib.blake2b(code, digest_size=_DIGEST_BYTES).digest()


@contextmanager
def _says_what_to_do() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KernelError(
            f"compiled kernels can not be kept in {kernel_folder()} ({error}); set WAVETILE_CACHE to a folder that can"
        ) from error
