"""The Open Inference Protocol (KServe v2, as Triton's clients speak it): whole evaluations, and streams as sequences.

Tensors and parameters are read here and nowhere else; streams are the sessions of `wavetile.v1`, under the same
scheduler and the same admission. What the protocol has beyond that is refused by name: regions of shared memory, which
let clients name memory of the server's machine, text tensors, and models that clients load.
"""

from __future__ import annotations

from .handlers import SERVICE_NAME, add_to_server, reflection_pool
from .service import InferenceService

__all__ = ["SERVICE_NAME", "InferenceService", "add_to_server", "reflection_pool"]
