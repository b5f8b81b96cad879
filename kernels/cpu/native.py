"""Compile kernels to native functions once, keep them in the user's cache, and hand out their addresses."""

from __future__ import annotations

import ast
import hashlib
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba import types

from ..cache import cache_folder
from ..errors import KernelError

SIGNATURE = types.void(types.CPointer(types.int64), types.CPointer(types.int64))
"""Every kernel: (operand words, context words) -> nothing."""

FAST_MATH = {"contract", "reassoc", "nsz", "arcp"}
"""What LLVM may do to float arithmetic: fuse multiply-adds and reorder sums. NaN and infinity keep their meaning."""

_COMPILING = threading.RLock()
"""Numba's cache folder is one setting of the whole process, so compilations take turns."""


def kernel_folder() -> Path:
    """Where compiled kernels are kept."""
    return cache_folder() / "kernels"


@cache
def _local_imports(path: Path) -> set[Path]:
    """The files of the kernels package that a file imports by a relative import."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parent if node.level == 1 else path.parent.parent
            names = [node.module.replace(".", "/")] if node.module else [alias.name for alias in node.names]
            found |= {folder / f"{name}.py" for name in names if (folder / f"{name}.py").exists()}
    return found


@cache
def source_digest(path: Path) -> str:
    """A digest of a source file and of all it imports from this package.

    Numba's own cache looks at the file of the compiled function alone; an inlined function that changed elsewhere
    would go unnoticed.
    """
    seen, waiting = set(), [path]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += _local_imports(current)
    digest = hashlib.sha256(f"numba {numba.__version__} llvmlite {llvmlite.__version__}".encode())
    for source in sorted(seen):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


class NativeKernel:
    """A kernel that compiles, or loads from the cache, when its address is first asked for."""

    def __init__(self, name: str, function: Callable[[Any, Any], None]) -> None:
        self.name = name
        self.function = function
        self._compiled: Any = None

    @property
    def address(self) -> int:
        """Address of the native function `void(int64 *operands, int64 *context)`."""
        with _COMPILING:
            if self._compiled is None:
                self._compiled = compile_cached(
                    lambda: numba.cfunc(SIGNATURE, cache=True, fastmath=FAST_MATH, error_model="numpy")(self.function),
                    Path(self.function.__code__.co_filename),
                )
            return self._compiled.address


def compile_cached(build: Callable[[], Any], source: Path) -> Any:
    """Run a Numba compilation with its cache in our folder, under the digest of `source` and what it imports."""
    with _COMPILING:
        previous = numba.config.CACHE_DIR  # type: ignore[attr-defined]
        numba.config.CACHE_DIR = str(kernel_folder() / source_digest(source))  # type: ignore[attr-defined]
        try:
            return build()
        finally:
            numba.config.CACHE_DIR = previous  # type: ignore[attr-defined]


NATIVE: dict[str, NativeKernel] = {}
"""Kernels by name; a kernel file adds its own with `@native`."""


def native(function: Callable[[Any, Any], None]) -> NativeKernel:
    """Register a Python function (operands, context) as the native kernel of its name."""
    if function.__name__ in NATIVE:
        raise KernelError(f"the native kernel {function.__name__!r} is defined twice")
    kernel = NativeKernel(function.__name__, function)
    NATIVE[function.__name__] = kernel
    return kernel
