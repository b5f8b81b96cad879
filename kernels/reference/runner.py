"""The reference runner with all its definitions registered."""

from __future__ import annotations

from . import kernels as _kernels  # noqa: F401  (fills DEFINITIONS)
from .execute import ReferenceRunner

__all__ = ["ReferenceRunner"]
