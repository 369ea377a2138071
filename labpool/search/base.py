"""What a strategy is: a pure function from a sweep and its findings to what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from labpool.errors import Problem
from labpool.spec import SweepSpec

# The states of a trial as rows call them.
MOVING = frozenset({"queued", "running"})
QUEUED = "queued"
PAUSED = "paused"
SUCCEEDED = "succeeded"
PRUNED = "pruned"


@dataclass(frozen=True, slots=True)
class Create:
    """Make trial ``number`` (from 0) with these values at the base's dotted paths."""

    number: int
    values: Mapping[str, Any]
    rung: int = 0


@dataclass(frozen=True, slots=True)
class Promote:
    """Let a trial that is paused at its rung go on to ``rung``, the next one."""

    trial_id: int
    rung: int


@dataclass(frozen=True, slots=True)
class Prune:
    """End a trial that is not worth its slot. It may be running, paused or still queued."""

    trial_id: int


Action = Create | Promote | Prune


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one trial of the sweep. ``values`` are those it was created with.

    ``metrics`` are its result's, empty while there is none. ``rung`` is the one it is at or on its
    way to. ``reports`` holds the objective's metric, as the trial reported it, by the epoch after
    which it was measured (from 1); what is not finite may be in it and counts as worst.
    ``slot_seconds`` are those charged to it so far.
    """

    trial_id: int
    number: int
    state: str
    values: Mapping[str, Any]
    metrics: Mapping[str, float]
    rung: int = 0
    reports: Mapping[int, float] = field(default_factory=dict)
    slot_seconds: float = 0.0


class Search(Protocol):
    """Where trials come from. No method reads a clock, a file or a random source of its own: the
    same arguments give the same answer, so a sweep can be taken up again from its rows at any
    time."""

    heeds_results: bool
    """Whether what it makes depends on how the trials before did."""

    def check(self, spec: SweepSpec) -> list[Problem]:
        """What this strategy cannot do with the space, with pointers into the sweep."""

    def count(self, spec: SweepSpec) -> int:
        """How many trials the sweep comes to, without making them."""

    def advance(self, spec: SweepSpec, rows: Sequence[Row]) -> list[Create]:
        """The trials to make now, given every trial there is, one row a repeat."""


class Pruning(Protocol):
    """Which trials go on. As pure as a `Search`."""

    hears_epochs: bool
    """Whether it has something to say after a trial's epoch, and not at pauses and ends alone."""

    def check(self, spec: SweepSpec) -> list[Problem]:
        """What this pruning cannot do with the sweep, with pointers into it."""

    def epochs(self, spec: SweepSpec, rung: int) -> int | None:
        """The epoch after which a trial at ``rung`` halts, paused; None if it runs to its end."""

    def advance(
        self, spec: SweepSpec, rows: Sequence[Row], count: int
    ) -> Sequence[Promote | Prune]:
        """What to do with the trials there are, of ``count`` that there are to be."""
