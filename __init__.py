"""wavetile runs trained ONNX networks on signals that are still arriving."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine.models.load import load
    from .engine.models.model import Model, Stream

__version__ = "0.1.0"
__all__ = ["Model", "Stream", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import the engine on the first use of `load`, `Model` or `Stream`: `import wavetile` alone stays cheap."""
    if name in ("Model", "Stream", "load"):
        module = ".engine.models.load" if name == "load" else ".engine.models.model"
        return getattr(import_module(module, __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
