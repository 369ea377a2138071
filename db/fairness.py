"""Whose turn it is: pure arithmetic over who holds and who used what. No database in here.

Within a priority class the user with the fewest slots at work over their share is next; among
equals the one with the least decayed use over their share; then the oldest trial. A user at their
cap is passed over. What waited longer than `ageing_s` may be taken out of that order, oldest first,
in at most one of `ageing_turn` claims of a slot.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from labpool.settings import Settings

DAY_S = 24 * 3600.0
# Priorities, highest first: high, normal, low.
CLASSES = (1, 0, -1)
# (slots over share, use over share)
Turn = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rules:
    """The pool's own limits. `max_running` is a user's most slots where theirs is not set."""

    max_running: int | None = None
    ageing_s: float = DAY_S
    ageing_turn: int = 4

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """As this process is set up; the workers' settings are those that claims go by."""
        return cls(settings.max_running_per_user, settings.ageing_s, settings.ageing_turn)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a user holds and used. `used_s` are decayed slot-seconds with those of now."""

    share: float = 1.0
    running: int = 0
    used_s: float = 0.0
    limit: int | None = None

    def turn(self, more: int = 0) -> Turn:
        """Least is next; as it will be once `more` of their trials run."""
        return ((self.running + more) / self.share, self.used_s / self.share)

    def is_full(self, more: int = 0) -> bool:
        """Whether they may hold nothing further."""
        return self.limit is not None and self.running + more >= self.limit


class Waiter(NamedTuple):
    """A waiting trial. `due` is false while it is held back, pauses between two tries, or needs
    what no slot has."""

    trial_id: int
    owner_id: int
    priority: int
    due: bool


class Place(NamedTuple):
    """A waiting trial's turn, from 1. `capped`: not before its owner holds less than now."""

    place: int
    waiter: Waiter
    capped: bool


NOBODY = Standing()


def first(heads: Mapping[int, int], standings: Mapping[int, Standing]) -> int | None:
    """The trial to run next of one class, from each owner's oldest; None when all are full."""
    able = [owner for owner in heads if not standings.get(owner, NOBODY).is_full()]
    if not able:
        return None
    best = min(able, key=lambda owner: (standings.get(owner, NOBODY).turn(), heads[owner]))
    return heads[best]


def order(waiters: Iterable[Waiter], standings: Mapping[int, Standing]) -> list[Place]:
    """The order of `first`, told ahead: whoever gets a slot has one more at work.

    What its owner's cap keeps back comes after that, and what may not run yet at the end. A cap
    that is not reached keeps nothing back: something of theirs may end first. Turns by age and what
    one slot cannot serve are left out, and whatever ends or comes in between changes it.
    """
    taken: dict[int, int] = {}
    rows: list[tuple[int, int, Turn, int, Waiter]] = []
    for waiter in sorted(waiters, key=lambda item: (not item.due, -item.priority, item.trial_id)):
        standing = standings.get(waiter.owner_id, NOBODY)
        nth = taken.get(waiter.owner_id, 0)
        taken[waiter.owner_id] = nth + 1
        group = 2 if not waiter.due else 1 if standing.is_full() else 0
        rows.append((group, -waiter.priority, standing.turn(nth), waiter.trial_id, waiter))
    rows.sort()
    return [Place(number, row[4], row[0] == 1) for number, row in enumerate(rows, 1)]


def may_take_by_age(recent: Sequence[bool], rules: Rules) -> bool:
    """Whether a slot may take what is oldest. `recent` are its last leases: was each by age?

    True when none of the last `ageing_turn - 1` was, so that at most one in `ageing_turn` is. A new
    slot may: a worker's restart makes its slots anew, and those who wait must not pay for it by
    another `ageing_turn - 1` runs each time.
    """
    return not any(recent[: rules.ageing_turn - 1])


def longest_wait_s(rules: Rules, longest_run_s: float, older: int, slots: int) -> float:
    """No due trial whose owner is below their cap waits longer than this.

    With `slots` that can serve it, and no trial that keeps a slot longer than `longest_run_s`.
    `older` are the trials of these slots that were submitted before it and have not ended when its
    age reaches `ageing_s`. One at work counts: it keeps its age when it is given back. Each time
    that one is given back after that counts once more.

    In `ageing_turn` runs each of the slots takes once what is oldest of what it can serve, and a
    younger trial is never that, so `older + 1` such turns are enough:
    A + k * L * ceil((older + 1) / slots). What is given back itself, older than A, waits at most
    as long beyond A, counted from then on.
    """
    rounds = math.ceil((older + 1) / slots)
    return rules.ageing_s + rules.ageing_turn * longest_run_s * rounds
