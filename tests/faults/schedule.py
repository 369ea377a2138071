"""When which fault comes: drawn from a seed, so that a run can be had again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

# How often each comes in comparison. The broker and the bells are cheap to bring back; a database
# that restarts or a worker that is stopped holds everybody up for seconds.
WEIGHTS = {
    "kill_runner": 6,
    "kill_worker": 4,
    "end_worker": 2,
    "stop_worker": 3,
    "kill_api": 3,
    "restart_broker": 2,
    "flush_broker": 3,
    "broker_away": 2,
    "double_bells": 4,
    "forge_bells": 4,
    "database": 2,
    # Once, and its probe finds nothing; or for good, until an administrator clears it.
    "disturb_gpu": 2,
    "break_gpu": 4,
}
# What only shows when there is work for it comes while there is.
EARLY = frozenset({"disturb_gpu", "break_gpu"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, ``at_s`` after the beginning; ``pick`` in [0, 1) chooses among what is there."""

    at_s: float
    what: str
    pick: float
    lasts_s: float


def draw(
    seed: int, count: int, span_s: float, ttl_s: float, without: Sequence[str] = ()
) -> list[Fault]:
    """``count`` faults over ``span_s``, in order; each kind at least once where they suffice.

    Stops of workers last longer than a lease, half of the broker's absences do too.
    """
    source = random.Random(seed)
    kinds = {what: weight for what, weight in WEIGHTS.items() if what not in without}
    drawn = list(kinds) if count >= len(kinds) else []
    drawn += source.choices(list(kinds), list(kinds.values()), k=count - len(drawn))
    source.shuffle(drawn)
    faults = [
        Fault(
            source.uniform(0.0, span_s / 2 if what in EARLY else span_s), what, source.random(),
            _length_s(source, what, ttl_s),
        )
        for what in drawn
    ]  # fmt: skip
    return sorted(faults, key=lambda fault: fault.at_s)


def _length_s(source: random.Random, what: str, ttl_s: float) -> float:
    match what:
        case "stop_worker":
            return ttl_s * source.uniform(1.2, 2.5)
        case "broker_away":
            return ttl_s * source.uniform(0.5, 1.5)
        case "database" | "kill_worker" | "kill_api":
            return source.uniform(0.0, 2.0)
        case _:
            return 0.0
