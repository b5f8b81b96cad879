"""What `describe --backend cuda` says: which executor runs a program on the card, and what each was measured at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...kernels.table import Choice
    from ..models.model import Model
    from ..plan import Program


def choices(model: Model, program: Program) -> list[Choice]:
    """How a step of one stream is run, and one of as many as are computed together; of a network, one evaluation."""
    from ..plan import Workspace

    lanes = (1,) if model.card is None else (1, model.max_lanes)
    found = (Workspace(program, model.backend, count).choice for count in lanes)
    return [choice for choice in found if choice is not None]


def choice_rows(found: list[Choice]) -> list[tuple[str, str]]:
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
