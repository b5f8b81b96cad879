"""Python functions that Numba compiles to native ones, as object files: the only place that calls the compiler."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding
from numba import types
from numba.core.registry import cpu_target

from ..errors import KernelError
from .machine_code import machine, symbol, target_machine

SIGNATURE = types.void(types.CPointer(types.int64), types.CPointer(types.int64))
"""Every kernel: (operand words, context words) -> nothing."""

FAST_MATH = {"contract", "reassoc", "nsz", "arcp"}
"""What LLVM may do to float arithmetic: fuse multiply-adds and reorder sums. NaN and infinity keep their meaning."""

REASON_CHARACTERS = 600

_RELATIVE_IMPORT = re.compile(r"^from (\.+)([\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)

_OF_THE_COMPILER = ("numba_", "NRT_", "Py", "__svml_")
"""What names start with that only a process with Numba, or with what Numba has found, can resolve."""


@dataclass(frozen=True, slots=True)
class NativeFunction:
    """A Python function that is called as native code."""

    name: str
    function: Callable[..., None]
    signature: Any
    """Numba's; it returns nothing."""

    @property
    def source(self) -> Path:
        """The file that defines it."""
        return Path(self.function.__code__.co_filename)


NATIVE: dict[str, NativeFunction] = {}
"""All native functions by name; a kernel file adds its own with `@native`."""


def native(function: Callable[[Any, Any], None]) -> NativeFunction:
    """Register a Python function (operands, context) as the native kernel of its name."""
    return register(function, SIGNATURE)


def register(function: Callable[..., None], signature: Any) -> NativeFunction:
    """Register a Python function of any signature that returns nothing as the native function of its name."""
    if function.__name__ in NATIVE:
        raise KernelError(f"the native function {function.__name__!r} is defined twice")
    NATIVE[function.__name__] = NativeFunction(function.__name__, function, signature)
    return NATIVE[function.__name__]


def device(function: Callable[..., Any]) -> Any:
    """Make a function that only other native code calls: without the wrappers that cost most of its compile time."""
    return numba.njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def fast_device(function: Callable[..., Any]) -> Any:
    """Make a `device` whose float arithmetic LLVM may treat as FAST_MATH allows, whoever calls it."""
    return numba.njit(error_model="numpy", fastmath=FAST_MATH, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def object_code(native_function: NativeFunction) -> bytes:
    """Compile to an object file that needs nothing of Numba's when it is loaded.

    Raises:
        KernelError: it does not compile, or calls what only Numba has.
    """
    name = native_function.name
    compiler = numba.cfunc(native_function.signature, fastmath=FAST_MATH, error_model="numpy")
    try:
        compiled = compiler(native_function.function)
    except Exception as error:
        # Numba's texts run to pages; the first lines say what and where.
        reason = " ".join(str(error).split())[:REASON_CHARACTERS]
        raise KernelError(f"kernel {name!r} does not compile: {reason}") from error
    module = binding.parse_assembly(compiled.inspect_llvm())
    numba_target: Any = cpu_target.target_context
    _, processor, features = numba_target.codegen().magic_tuple()
    emitter = target_machine(processor, features)
    # Numba's C function reports exceptions to Python. Kernels raise none, and ours calls what is inside.
    _reduce_to_entry(module, native_function, compiled.native_name.removeprefix("cfunc."), emitter)
    foreign = [value.name for value in module.functions if value.name.startswith(_OF_THE_COMPILER)]
    if foreign:
        raise KernelError(
            f"kernel {name!r} calls {', '.join(foreign)}, which is there beside the compiler only "
            "(NUMBA_DISABLE_INTEL_SVML=1 avoids __svml_*)"
        )
    return emitter.emit_object(module)


def _reduce_to_entry(
    module: binding.ModuleRef, native_function: NativeFunction, inner: str, emitter: binding.TargetMachine
) -> None:
    """Give a module one visible function, which is `inner` with a plain signature, and leave only what that needs."""
    entry = symbol(native_function.name)
    module.link_in(binding.parse_assembly(_entry(entry, inner, native_function.signature)))
    module.get_function(inner).add_function_attribute("alwaysinline")
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration and value.name != entry:
            value.linkage = "internal"
    passes = binding.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, binding.create_pass_builder(emitter, binding.create_pipeline_tuning_options()))


def _entry(entry: str, inner: str, signature: Any) -> str:
    """LLVM assembly of a C function that calls Numba's native one: places for a result and an exception come first."""
    kinds = ["i64" if kind == types.int64 else "ptr" for kind in signature.args]
    arguments = ", ".join(f"{kind} %a{index}" for index, kind in enumerate(kinds))
    return f"""
        declare i32 @"{inner}"(ptr, ptr, {", ".join(kinds)})
        define void @{entry}({arguments}) {{
            %result = alloca ptr
            %exception = alloca ptr
            %status = call i32 @"{inner}"(ptr %result, ptr %exception, {arguments})
            ret void
        }}
    """


@cache
def local_imports(path: Path) -> set[Path]:
    """The files of the kernels package that a file imports by a relative import, at its left margin."""
    found = set()
    for dots, module, imported in _RELATIVE_IMPORT.findall(path.read_text(encoding="utf-8")):
        folder = path.parents[len(dots) - 1]
        names = [module.replace(".", "/")] if module else re.findall(r"\w+", imported)
        found |= {folder / f"{name}.py" for name in names if (folder / f"{name}.py").exists()}
    return found


@cache
def source_digest(path: Path) -> str:
    """A digest of a source file, of all it imports from this package, and of the machine."""
    seen, waiting = set(), [path]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += local_imports(current)
    digest = hashlib.sha256(machine().encode())
    for source in sorted(seen):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
