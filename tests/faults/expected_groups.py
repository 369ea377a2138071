"""Which waiting trials must come along with the one whose turn it is."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.expected import Pool
from tests.faults.expected_rows import Trial


@dataclass(frozen=True, slots=True)
class Measured:
    """How many of the histories' only architecture a slot would train together, if it knows; or
    that it has found out that they cannot be."""

    auto: int | None = None
    unfit: bool = False


def companions(pool: Pool, head: Trial, wanted: int | Measured, idle: int) -> list[int]:
    """Their ids in order. ``idle``: slots that could take a part, the claiming one among them."""
    alike = sorted(pool.siblings(head), key=lambda trial: trial.id)
    if isinstance(wanted, int):
        return [trial.id for trial in alike[: wanted - 1]]
    most = 1 if wanted.unfit or head.fuse == "off" else head.fuse
    if most == "auto":
        most = wanted.auto or 1
    in_step = [trial for trial in alike if _epoch(trial) == _epoch(head)]
    # Idle slots have their part, rounded up.
    part = (len(in_step) + idle) // idle
    return [trial.id for trial in in_step[: max(0, min(int(most), part) - 1)]]


def _epoch(trial: Trial) -> int:
    return trial.resume[0] if trial.resume else 0
