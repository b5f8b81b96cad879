"""Streams that open, send, end, are cancelled, vanish and are resumed in random order: does any touch another's state?

    python -m tests.soak.isolation [MODEL] [--operations N] [--seed N]

Client and server share this process. What every stream gives that came to its end must be, to the bit, what the same
signal gives alone, each result once; and when all is over every slot must be free. Half of the streams can be resumed:
their call is cancelled, lost with its connection or left as it is, and another one goes on. Weights are found through
WAVETILE_MODELS, else in ../shared/models.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.soak.crowd import Crowd

if TYPE_CHECKING:
    from wavetile.engine.server import ServedModel
    from wavetile.engine.session import Session, StreamSpec
    from wavetile.engine.session.kept_session import KeptSession

REPOSITORY = Path(__file__).resolve().parents[2]
OPERATIONS = 10_000
SNAPSHOTS_S = 0.2
PATIENCE_S = 120.0


@dataclass
class Tally:
    """What has happened."""

    operations: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    """Streams that came to their end."""
    wrong: list[str] = field(default_factory=list)
    slots_held: int = 0
    """After all."""

    @property
    def passed(self) -> bool:
        """Whether all outputs were right and all slots given back."""
        return self.compared > 0 and not self.wrong and not self.slots_held


async def isolate(
    name: str,
    served: ServedModel,
    solo: Callable[[np.ndarray], tuple[bytes, dict[str, list[float]]]],
    slots_held: Callable[[], int],
    *,
    operations: int = OPERATIONS,
    seed: int = 0,
) -> Tally:
    """Let a crowd act on a server of `served`; `solo` says what a signal gives alone: bytes of float32, and values."""
    from wavetile.engine.server import ResumeOptions, Server, ServerOptions

    tally = Tally()
    options = ServerOptions(port=0, max_load=0.0, resume=ResumeOptions(interval_s=SNAPSHOTS_S))
    server = Server({name: served}, options)
    await server.start()
    crowd = Crowd(server.address, name, served.describe().hop_samples, seed)
    try:
        for number in range(operations):
            tally.operations[await crowd.act()] += 1
            await asyncio.sleep(0.02 if number % 50 == 0 else 0)
        await crowd.end()
        async with asyncio.timeout(PATIENCE_S):
            while slots_held():  # noqa: ASYNC110 - slots have no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        tally.wrong.append("some streams did not end, or did not give back their slots")
    finally:
        await server.stop(grace_s=0)
    tally.slots_held = slots_held()
    for client in crowd.finished:
        tally.compared += 1
        if (wrong := client.differs(solo)) is not None:
            tally.wrong.append(wrong)
    return tally


def solo_run(stream: Any, samples: np.ndarray) -> tuple[bytes, dict[str, list[float]]]:
    """What an `engine.session.Stream` gives for a whole signal."""
    outputs = [stream.process(samples), stream.flush()]
    stream.close()
    audio = b"".join(output.samples.tobytes() for output in outputs if output.samples is not None)
    values: dict[str, list[float]] = {}
    for output in outputs:
        for name, numbers in output.values.items():
            values.setdefault(name, []).extend(numbers.ravel().tolist())
    return audio, {name: numbers for name, numbers in values.items() if numbers}


@dataclass(frozen=True)
class SpecModel:
    """A model without weights behind the server's door: any `StreamSpec`."""

    spec: StreamSpec
    pool: Any

    def describe(self) -> Any:
        """See `ServedModel`."""
        from wavetile.engine.server import ModelDescription, ModelKind

        return ModelDescription(
            name=self.spec.name,
            kind=ModelKind.AUDIO,
            inputs=(),
            outputs=(),
            sample_rate_hz=self.spec.sample_rate_hz,
            hop_samples=self.spec.hop_samples,
            delay_samples=self.spec.delay_samples,
            returns_audio=self.spec.audio is not None,
            value_names=tuple(self.spec.values),
        )

    def open_session(self, sample_rate_hz: int, channels: int, *, bypass: bool = False) -> Session:
        """See `ServedModel`."""
        from wavetile.engine.session import Session

        return Session(self.spec, self.pool, sample_rate_hz=sample_rate_hz, channels=channels)

    def open_kept_session(self, sample_rate_hz: int, channels: int, **options: Any) -> KeptSession:
        """See `ServedModel`."""
        from wavetile.engine.session.kept_session import KeptSession

        return KeptSession(self.spec, self.pool, sample_rate_hz=sample_rate_hz, channels=channels, **options)

    def executor(self) -> Any:
        """See `ServedModel`."""
        from wavetile.engine.session import Executor

        return Executor(self.spec, 16, self.pool)

    def batch_costs(self, executor: Any) -> dict[int, float]:
        """Not known: any number of streams is let in."""
        return {}

    def open_images(self, form: Any, max_bytes: int) -> Any:
        """It has none."""
        raise NotImplementedError


def main() -> int:
    """Run it on a trained model, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="gtcrn", metavar="MODEL", help="an audio model (default: gtcrn)")
    parser.add_argument("--operations", type=int, default=OPERATIONS, metavar="N", help=f"default: {OPERATIONS}")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("WAVETILE_MODELS", str(REPOSITORY.parent / "shared" / "models"))

    import wavetile
    from wavetile.engine.commands.served import served

    model = wavetile.load(options.model)
    pool = model._state_pool()
    tally = asyncio.run(
        isolate(
            options.model,
            served(model),
            lambda samples: solo_run(model.stream(), samples),
            lambda: pool.capacity - pool.free,
            operations=options.operations,
            seed=options.seed,
        )
    )
    done = ", ".join(f"{count} {name}" for name, count in sorted(tally.operations.items()))
    print(f"{sum(tally.operations.values())} operations: {done}")
    print(f"{tally.compared} streams compared with solo runs, {len(tally.wrong)} wrong; {tally.slots_held} slots held")
    for wrong in tally.wrong[:10]:
        print(f"  {wrong}")
    return 0 if tally.passed else 1


if __name__ == "__main__":
    sys.exit(main())
