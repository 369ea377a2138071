"""What a strategy is: a pure function from a sweep and its findings to what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from labpool.errors import Problem
from labpool.spec import SweepSpec


@dataclass(frozen=True, slots=True)
class Create:
    """Make trial ``number`` (from 0) with these values at the base's dotted paths."""

    number: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Promote:
    """Let a paused trial go on to ``rung``."""

    trial_id: int
    rung: int


@dataclass(frozen=True, slots=True)
class Prune:
    """End a trial that is not worth its slot."""

    trial_id: int


Action = Create | Promote | Prune


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one trial of the sweep. ``values`` are those it was created with."""

    trial_id: int
    number: int
    state: str
    values: Mapping[str, Any]
    metrics: Mapping[str, float]


class Search(Protocol):
    """A strategy. Neither method reads a clock, a file or a random source of its own: the same
    arguments give the same answer, so a sweep can be taken up again from its rows at any time."""

    def check(self, spec: SweepSpec) -> list[Problem]:
        """What this strategy cannot do with the space, with pointers into the sweep."""

    def count(self, spec: SweepSpec) -> int:
        """How many trials the sweep comes to, without making them."""

    def advance(self, spec: SweepSpec, rows: Sequence[Row]) -> list[Action]:
        """What to do next, given every trial there is. Applied once, in order."""
