"""What `describe --backend cuda` says: which executor runs a program on the card, and what each was measured at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...kernels.table import Choice
    from ..models.model import Model
    from ..plan import Program


def choices(model: Model, program: Program) -> Sequence[Choice]:
    """How steps of one stream up to as many as are computed together are run; of images and networks, an evaluation."""
    from ..plan import Workspace

    alone = model.describe().kind in ("image", "network")
    return Workspace(program, model.backend, 1 if alone else model.max_lanes).choices


def choice_rows(found: Sequence[Choice]) -> list[tuple[str, str]]:
    """A label and a text for each number of streams."""
    from .console import in_time

    rows = []
    for choice in found:
        times = ", ".join(
            f"{name} {in_time(step_us)}" for name, step_us in sorted(choice.step_us.items(), key=lambda item: item[1])
        )
        why = f"; no resident interpreter: {choice.ruled_out}" if choice.ruled_out else ""
        streams = "1 stream" if choice.lanes == 1 else f"{choice.lanes} streams"
        rows.append((f"on the card, {streams}", f"{choice.executor}; measured a step: {times}{why}"))
    return rows
