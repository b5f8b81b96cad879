"""What a program is compiled for: the back end whose kernels run it, and what may be rounded."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...kernels.rounding import Products


@dataclass(frozen=True, slots=True)
class Target:
    """How the rules choose kernels. Nodes are named by what their names begin with; "" is all of them."""

    backend: str = "cpu"
    halved: tuple[str, ...] = ()
    """Nodes that keep their weights as float16 (see `halve`)."""
    products: tuple[tuple[str, Products], ...] = ()
    """Nodes whose convolutions round what they multiply, and to what; on a device alone."""

    @property
    def exact(self) -> Target:
        """The same without rounding: proofs hold whatever the weights are."""
        return replace(self, halved=(), products=())

    @property
    def on_device(self) -> bool:
        """Whether a device computes: choices that were measured on processors are not its own."""
        return self.backend == "cuda"

    def products_of(self, node: str) -> Products | None:
        """What a node's convolutions round their operands to; None: nothing is rounded."""
        return next((kind for prefix, kind in self.products if self.on_device and node.startswith(prefix)), None)


CPU = Target()
