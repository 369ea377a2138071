"""A thing that happens to the small machine, and how much may happen."""

from __future__ import annotations

from typing import NamedTuple

from tests.faults.life import Event, State


class Bounds(NamedTuple):
    """How much of everything there is."""

    trials: int
    workers: int
    faults: int
    asks: int
    looks: int
    releases: int
    rungs: bool = False


class Move(NamedTuple):
    """Something that happened; ``name`` says what, its first words which kind it is."""

    name: str
    state: State
    events: tuple[Event, ...] = ()
