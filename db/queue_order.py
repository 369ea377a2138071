"""The queue in the order in which free slots would take it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from db import clock
from db.estimates import AtWork, History, at_work
from db.fairness import Place, Rules, Standing, Waiter, first
from db.foresight import Frees, foresee, later
from db.models import Trial
from db.serving import Needs, Serving
from db.standings import standings
from db.states import TrialState
from db.turns import due

# Where nothing tells how long something runs.
_SOME_RUN_S = 60.0


@dataclass(frozen=True, slots=True)
class Line:
    """Every waiting trial in its turn, what each needs, since when it waits (its age counts from
    then), how its owner stands, which slots are taken, and what trials took lately."""

    now: float
    places: Sequence[Place]
    needs: Mapping[int, Needs]
    standings: Mapping[int, Standing]
    since: Mapping[int, float]
    taken: Sequence[AtWork]
    history: History


def read_line(session: Session, rules: Rules, serving: Serving | None = None) -> Line:
    """The order that `db.claims` takes them in, told ahead.

    A slot passes over what it cannot serve, and takes out of turn what has waited for very long.
    What no slot can serve is not due.
    """
    serving = Serving(session) if serving is None else serving
    now = clock.now(session)
    known = standings(session, rules, now)
    since = func.coalesce(Trial.let_go_at, Trial.queued_at)
    query = select(
        Trial.id, Trial.owner_id, Trial.priority, and_(*due()), Trial.device, Trial.kind,
        Trial.code_name, Trial.code_digest, Trial.data_name, Trial.data_digest, since,
    ).where(Trial.state == TrialState.QUEUED)  # fmt: skip
    waiters = []
    needs: dict[int, Needs] = {}
    ages: dict[int, float] = {}
    # A queue of thousands has a handful of different needs.
    met: dict[Needs, Needs] = {}
    for row in session.execute(query):
        asked = Needs(row[4], row[5], row[6], row[7], row[8], row[9])
        needs[row[0]] = met.setdefault(asked, asked)
        ages[row[0]] = row[10]
        due_now = bool(row[3]) and bool(serving.able(needs[row[0]]))
        waiters.append(Waiter(row[0], row[1], row[2], due_now))
    history = History(session)
    taken = at_work(session, history, now)
    able = {slot.id for asked in met for slot in serving.able(asked)}
    line = Line(now, (), needs, known, ages, taken, history)
    return replace(line, places=told(line, waiters, able))


def told(
    line: Line,
    waiters: Sequence[Waiter],
    able: Collection[int],
    capped: bool = True,
) -> list[Place]:
    """The order in which these slots take these waiters; with no caps if not `capped`."""

    def run_s(waiter: Waiter) -> float:
        typical = line.history.of(line.needs[waiter.trial_id].code_name)
        return _SOME_RUN_S if typical is None else typical.median_s

    known = line.standings
    if not capped:
        known = {user: replace(held, limit=None) for user, held in known.items()}
    return foresee(waiters, known, frees(line, able), run_s)


def frees(line: Line, able: Collection[int]) -> list[Frees]:
    """When each of these slots is free, the first of them first."""
    held = [slot for slot in line.taken if slot.slot_id in able]
    known = [slot.left_s for slot in held if slot.left_s is not None]
    # What nothing is known of ends after the rest, the longest at work first.
    unknown_s = max(known, default=0.0) + 1.0
    found = [Frees(None, 0.0)] * (len(able) - len(held))
    found += [Frees(one.owner_id, unknown_s if one.left_s is None else one.left_s) for one in held]
    return sorted(found, key=lambda slot: slot.left_s)


def next_owner(line: Line, waiters: Sequence[Waiter], able: Collection[int]) -> int | None:
    """Who gets the next of these slots."""
    known: Mapping[int, Standing] = line.standings
    slots = frees(line, able)
    if slots:
        known = later(known, slots[0].owner_id, slots[0].left_s)
    for priority in sorted({waiter.priority for waiter in waiters}, reverse=True):
        heads: dict[int, int] = {}
        for waiter in waiters:
            if waiter.priority == priority:
                head = heads.get(waiter.owner_id, waiter.trial_id)
                heads[waiter.owner_id] = min(head, waiter.trial_id)
        found = first(heads, known)
        if found is not None:
            return next(owner for owner, head in heads.items() if head == found)
    return None
