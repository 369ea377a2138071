"""The order of the queue told ahead: whose slot frees, who takes it then. No database here."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from db.fairness import CLASSES, NOBODY, Place, Standing, Waiter, first, order

# What comes after so many places is told by today's holdings: by then nothing is as foreseen.
FORESEEN = 300


class Frees(NamedTuple):
    """A slot, whose it is (None while it is free), and in how many seconds it is free."""

    owner_id: int | None
    left_s: float


class Run(NamedTuple):
    """A waiter's run: in how many seconds it starts and ends."""

    waiter: Waiter
    starts_s: float
    ends_s: float


def foresee(
    waiters: Sequence[Waiter],
    standings: Mapping[int, Standing],
    slots: Sequence[Frees],
    run_s: Callable[[Waiter], float],
) -> list[Place]:
    """Every waiter in its turn, as claims take them when each slot frees at its time.

    Whoever's slot frees holds one less then, and uses what they hold until then. Turns by age are
    left out, and whatever ends earlier or comes in between changes it.
    """
    runs, known = run_ahead(waiters, standings, slots, run_s, FORESEEN)
    taken = [run.waiter for run in runs]
    placed = {waiter.trial_id for waiter in taken}
    rest = order((one for one in waiters if one.trial_id not in placed), known)
    full = {user for user, held in standings.items() if held.is_full()}
    places = [Place(number, one, one.owner_id in full) for number, one in enumerate(taken, 1)]
    return places + [Place(len(taken) + row.place, row.waiter, row.capped) for row in rest]


def run_ahead(
    waiters: Sequence[Waiter],
    standings: Mapping[int, Standing],
    slots: Sequence[Frees],
    run_s: Callable[[Waiter], float],
    most: int,
) -> tuple[list[Run], dict[int, Standing]]:
    """When each of the first ``most`` waiters starts and ends, and how all stand then."""
    known = {user: standings.get(user, NOBODY) for user in {one.owner_id for one in waiters}}
    known = {**standings, **known}
    queues = _queues(waiters)
    count = itertools.count()
    times = [(left_s, next(count), owner) for owner, left_s in sorted(slots, key=_when)]
    runs: list[Run] = []
    now, free = 0.0, 0
    while times and queues and len(runs) < most:
        moment, _, owner = heapq.heappop(times)
        known = later(known, owner, moment - now)
        now, free = moment, free + 1
        while free and (waiter := _take(queues, known)) is not None:
            end = now + run_s(waiter)
            runs.append(Run(waiter, now, end))
            free -= 1
            held = known[waiter.owner_id]
            known[waiter.owner_id] = replace(held, running=held.running + 1)
            heapq.heappush(times, (end, next(count), waiter.owner_id))
    return runs, known


def later(
    standings: Mapping[int, Standing], owner_id: int | None, seconds: float
) -> dict[int, Standing]:
    """How all stand in so many seconds, when a slot of this owner is free."""
    found = {}
    for user, held in standings.items():
        running = max(0, held.running - 1) if user == owner_id else held.running
        used_s = held.used_s + held.running * seconds
        found[user] = replace(held, running=running, used_s=used_s)
    return found


def _when(slot: Frees) -> tuple[float, bool]:
    return (slot.left_s, slot.owner_id is not None)


_Queues = dict[int, dict[int, deque[Waiter]]]


def _queues(waiters: Sequence[Waiter]) -> _Queues:
    """What is due by class and owner, oldest first."""
    found: _Queues = {}
    for waiter in sorted(one for one in waiters if one.due):
        found.setdefault(waiter.priority, {}).setdefault(waiter.owner_id, deque()).append(waiter)
    return found


def _take(queues: _Queues, known: Mapping[int, Standing]) -> Waiter | None:
    for priority in CLASSES:
        theirs = queues.get(priority, {})
        heads = {owner: waiting[0].trial_id for owner, waiting in theirs.items()}
        chosen = first(heads, known)
        if chosen is None:
            continue
        owner = next(user for user, head in heads.items() if head == chosen)
        waiter = theirs[owner].popleft()
        if not theirs[owner]:
            del theirs[owner]
            if not theirs:
                del queues[priority]
        return waiter
    return None
