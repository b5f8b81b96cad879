"""A network at rest: from an ONNX file to a checked, bound and fused graph."""

from __future__ import annotations

from .bind import RESOLVED, shaping_inputs
from .free import free_axes
from .fuse import fuse
from .ir import Graph, Node, Ragged, State, TensorType
from .lengthen import lengthened, relative
from .limits import Limits
from .load import load_network
from .network import Network
from .scans import Scan, unroll_scans, whole_scans
from .specialise import specialise

__all__ = [
    "RESOLVED",
    "Graph",
    "Limits",
    "Network",
    "Node",
    "Ragged",
    "Scan",
    "State",
    "TensorType",
    "free_axes",
    "fuse",
    "lengthened",
    "load_network",
    "relative",
    "shaping_inputs",
    "specialise",
    "unroll_scans",
    "whole_scans",
]
