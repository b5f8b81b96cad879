"""What a card can do at best, and the least that a piece of work can take on it: counted, not measured."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from wavetile.engine.plan import Program
from wavetile.engine.plan.traffic import traffic


@dataclass(frozen=True)
class Card:
    """Peak rates of a card, a second, as its maker states them."""

    name: str
    multiprocessors: int
    float32: float
    """Multiply-adds outside the tensor cores."""
    tensor: dict[str, float]
    """Multiply-adds of the tensor cores by the type of what they multiply, without sparsity."""
    memory: float
    """Bytes read or written."""
    cache: float
    """Bytes read from the second-level cache."""
    load: float
    """Bytes that one multiprocessor loads."""
    cache_bytes: int
    """Its size."""
    bus: float
    """Bytes each way between host and card."""


# NVIDIA H100 Tensor Core GPU data sheet, SXM: 67 TFLOP/s float32, 989 TF32 and 1979 fp16 with sparsity (twice the
# dense rate), 3.35 TB/s, PCIe 5.0 x16 128 GB/s both ways together. 132 multiprocessors and 50 MB of cache: "NVIDIA
# H100 Tensor Core GPU Architecture", which gives no rate of the cache; 5120 bytes a clock are the A100's ("NVIDIA A100
# Tensor Core GPU Architecture"), here at the 1.755 GHz of the H100. A multiprocessor loads 32 words of 4 bytes a clock
# at most, for which its first-level cache and shared memory have banks (CUDA C++ Programming Guide).
H100 = Card(
    name="H100 SXM",
    multiprocessors=132,
    float32=67e12 / 2,
    tensor={"tf32": 989.4e12 / 4, "float16": 1978.9e12 / 4},
    memory=3.35e12,
    cache=5120 * 1.755e9,
    load=128 * 1.755e9,
    cache_bytes=50 * 2**20,
    bus=64e9,
)


@dataclass(frozen=True)
class Floor:
    """The least time of each thing that a piece of work must do, in microseconds. They may overlap: the most counts."""

    arithmetic_us: float
    memory_us: float
    """Of the bytes that cross the card's memory, or its cache where they fit into that."""
    bus_us: float
    """Of what comes from the host and goes back."""
    multiply_adds: int = 0
    moved_bytes: int = 0
    """Read and written by the multiprocessors: weights, activations, states."""

    @property
    def us(self) -> float:
        """No implementation is faster. Launches and the bus's latency, which no data sheet has, come on top."""
        return max(self.arithmetic_us, self.memory_us, self.bus_us)

    @property
    def bound(self) -> str:
        """What that is."""
        times = {"arithmetic": self.arithmetic_us, "memory": self.memory_us, "bus": self.bus_us}
        return max(times, key=lambda name: times[name])


@dataclass(frozen=True)
class Counts:
    """What a step of a program does."""

    multiply_adds: int
    """A lane."""
    weight_bytes: int
    """Held once."""
    activation_bytes: int
    """A lane: read or written by each instruction that has them as operands."""
    state_bytes: int
    """A lane: read, and written."""
    input_bytes: int
    """A lane."""
    output_bytes: int
    """A lane."""


def counts(program: Program) -> Counts:
    """Count a program's step."""
    moved = traffic(program)
    inputs, outputs = (
        sum(port.dtype.itemsize * prod(port.shape) for port in ports.values())
        for ports in (program.inputs, program.outputs)
    )
    return Counts(
        program.multiply_adds, moved.weight_bytes, moved.activation_bytes, program.state_bytes, inputs, outputs
    )


def resident_floor(step: Counts, lanes: int, card: Card = H100) -> Floor:
    """The resident interpreter: a block a lane, activations in it, weights through the cache."""
    busy = min(lanes, card.multiprocessors)
    weights = lanes * step.weight_bytes / min(card.cache, busy * card.load)
    state = 2 * lanes * step.state_bytes / card.memory
    return Floor(
        1e6 * lanes * step.multiply_adds / (card.float32 * busy / card.multiprocessors),
        1e6 * max(weights, state),
        1e6 * lanes * max(step.input_bytes, step.output_bytes) / card.bus,
        lanes * step.multiply_adds,
        lanes * (step.weight_bytes + 2 * step.state_bytes),
    )


def graph_floor(step: Counts, *, unit: str = "", lanes: int = 1, host: bool = True, card: Card = H100) -> Floor:
    """One kernel an instruction on the whole card. `unit`: of the tensor cores; "" for float32 without them.

    `host`: inputs come from there, and outputs go back.
    """
    rate = card.tensor[unit] if unit else card.float32
    moved = step.weight_bytes + lanes * step.activation_bytes
    if unit == "float16":
        moved //= 2  # weights and activations are kept so
    return Floor(
        1e6 * lanes * step.multiply_adds / rate,
        1e6 * moved / (card.cache if moved <= card.cache_bytes else card.memory),
        1e6 * lanes * max(step.input_bytes, step.output_bytes) / card.bus if host else 0.0,
        lanes * step.multiply_adds,
        moved,
    )
