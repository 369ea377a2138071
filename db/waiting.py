"""Why a trial waits: what it lacks, who is ahead, whose turn it is, and a guess of when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import clock
from db.estimates import AtWork, Estimate, History, at_work, estimate, shown_s, taken_of
from db.fairness import NOBODY, Place, Rules, Standing
from db.models import Slot, Trial
from db.queue_order import Line, read_line
from db.serving import Needs, Serving
from db.states import TERMINAL, TrialState

Reason = Literal["held", "paused", "backoff", "lacking", "capped", "turn", "running", "ended"]
_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Why:
    """Everything that there is to say about a trial's wait.

    `ahead` are the trials that come before it on slots that could run it; `by_owner` counts them by
    their owners. `next_owner_id` is who gets the next slot. `by_age_s` is how long until it may be
    taken for its age. What does not apply is None or empty.
    """

    trial_id: int
    state: TrialState
    reason: Reason
    sentence: str
    owner_id: int
    priority: int = 0
    standing: Standing = NOBODY
    place: int | None = None
    ahead: int | None = None
    by_owner: tuple[tuple[int, int], ...] = ()
    next_owner_id: int | None = None
    next_standing: Standing | None = None
    able_slots: int = 0
    free_slots: int = 0
    waited_s: float | None = None
    by_age_s: float | None = None
    estimate: Estimate = Estimate(None, "")  # noqa: RUF009 - it is frozen


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The queue up to a trial: its place, and what is ahead by need and owner."""

    place: Place
    ahead: tuple[tuple[tuple[Needs, int], int], ...]


class Waiting:
    """The pool as it is now, asked about one trial after another."""

    def __init__(
        self,
        session: Session,
        only: Collection[int] | None = None,
        rules: Rules = _RULES,
        line: Line | None = None,
    ) -> None:
        """`only` are the ids of the trials that will be asked about, where they are known; `line`
        is the queue where it has been read already."""
        self._session = session
        self._only = only
        self._rules = rules
        self._known = line
        self._now = clock.now(session) if line is None else line.now
        self._serving = Serving(session)
        self._history = History(session)
        self._lines: dict[int, _Ahead] | None = None
        self._next: int | None = None
        self._at_work: list[AtWork] | None = None

    def why(self, trial: Trial) -> str | None:
        """One sentence, or None when the trial is not waiting."""
        if trial.state not in (TrialState.QUEUED, TrialState.PAUSED):
            return None
        return self.explain(trial).sentence

    def lacking(self, trial: Trial) -> str | None:
        """What ``trial`` needs and the pool does not have; None when it only waits its turn."""
        return self._serving.lacking(Needs.of(trial))

    def explain(self, trial: Trial) -> Why:
        """Why it waits, in full."""
        if trial.state is not TrialState.QUEUED:
            return _not_waiting(trial)
        if trial.held:
            return self._plain(trial, "held", "It is held back until somebody lets it go.")
        if trial.not_before is not None and trial.not_before > self._now:
            wait_s = trial.not_before - self._now
            says = f"It waits {wait_s:.0f} s before the next try: {trial.reason}"
            return self._plain(trial, "backoff", says)
        lacks = self.lacking(trial)
        if lacks is not None:
            return self._plain(trial, "lacking", lacks)
        return self._in_line(trial)

    def _plain(self, trial: Trial, reason: Reason, sentence: str) -> Why:
        return Why(
            trial.id, trial.state, reason, sentence, trial.owner_id, trial.priority,
            self._standing(trial.owner_id), waited_s=self._waited_s(trial),
        )  # fmt: skip

    def _in_line(self, trial: Trial) -> Why:
        line = self._ahead_of_each().get(trial.id)
        if line is None:  # it was taken or came in between two looks
            return self._plain(trial, "turn", "It starts when a slot is free.")
        able = {slot.id for slot in self._serving.able(Needs.of(trial))}
        standing = self._standing(trial.owner_id)
        if line.place.capped:
            own = [item for item in line.ahead if item[0][1] == trial.owner_id]
            taken = [slot for slot in self._taken() if slot.owner_id == trial.owner_id]
            slots, which = standing.limit or 1, "that its owner may hold at once"
        else:
            own = [item for item in line.ahead if able & _ids(self._serving.able(item[0][0]))]
            taken, slots, which = taken_of(self._taken(), able), len(able), "that can serve it"
        by_code: Counter[str] = Counter()
        by_owner: Counter[int] = Counter()
        for (needs, owner_id), count in own:
            by_code[needs.code_name] += count
            by_owner[owner_id] += count
        guess = estimate(by_code, taken, slots, self._history, which)
        free = len(able) - len(taken_of(self._taken(), able))
        waited_s = self._waited_s(trial)
        return Why(
            trial_id=trial.id,
            state=trial.state,
            reason="capped" if line.place.capped else "turn",
            sentence=self._sentence(line.place.capped, by_owner.total(), free, standing, guess),
            owner_id=trial.owner_id,
            priority=trial.priority,
            standing=standing,
            place=line.place.place,
            ahead=by_owner.total(),
            by_owner=tuple(by_owner.most_common()),
            next_owner_id=self._next,
            next_standing=None if self._next is None else self._standing(self._next),
            able_slots=len(able),
            free_slots=free,
            waited_s=waited_s,
            by_age_s=max(0.0, self._rules.ageing_s - waited_s),
            estimate=guess,
        )

    def _sentence(
        self, capped: bool, ahead: int, free: int, standing: Standing, guess: Estimate
    ) -> str:
        when = "when a slot is free"
        if guess.seconds is not None and (ahead or not free):
            when = f"in about {shown_s(guess.seconds)}"
        if capped and standing.limit is not None:
            holds = f"{standing.running} slot{'s' if standing.running != 1 else ''}"
            more = f"{ahead} more of theirs come first; " if ahead else ""
            return (
                f"Its owner holds {holds} and may hold {standing.limit} at once; "
                f"{more}it starts {when}."
            )
        if ahead:
            return f"{ahead} {'are' if ahead > 1 else 'is'} ahead of it; it starts {when}."
        return f"It is next; it starts {when}."

    def _waited_s(self, trial: Trial) -> float:
        return max(0.0, self._now - (trial.let_go_at or trial.queued_at))

    def _line(self) -> Line:
        if self._known is None:
            self._known = read_line(self._session, self._rules)
        return self._known

    def _standing(self, user_id: int) -> Standing:
        return self._line().standings.get(user_id, NOBODY)

    def _taken(self) -> list[AtWork]:
        if self._at_work is None:
            self._at_work = at_work(self._session, self._history, self._now)
        return self._at_work

    def _ahead_of_each(self) -> dict[int, _Ahead]:
        """The queue, walked once, with what is ahead of each trial that is asked about."""
        if self._lines is None:
            self._lines = {}
            line = self._line()
            ahead: Counter[tuple[Needs, int]] = Counter()
            for place in line.places:
                waiter = place.waiter
                if place.place == 1 and waiter.due and not place.capped:
                    self._next = waiter.owner_id
                if self._only is None or waiter.trial_id in self._only:
                    self._lines[waiter.trial_id] = _Ahead(place, tuple(ahead.items()))
                if waiter.due:
                    ahead[line.needs[waiter.trial_id], waiter.owner_id] += 1
        return self._lines


def _not_waiting(trial: Trial) -> Why:
    if trial.state is TrialState.PAUSED:
        says: tuple[Reason, str] = ("paused", "It is paused; its checkpoint is kept.")
    elif trial.state in TERMINAL:
        says = ("ended", f"It has ended: {trial.state}.")
    else:
        says = ("running", "It runs.")
    return Why(trial.id, trial.state, *says, trial.owner_id, trial.priority)


def _ids(slots: tuple[Slot, ...]) -> set[int]:
    return {slot.id for slot in slots}


def why_waiting(session: Session, trial: Trial, rules: Rules = _RULES) -> str | None:
    """Why ``trial`` waits, or None when it does not."""
    return Waiting(session, [trial.id], rules).why(trial)


def explain(session: Session, trial: Trial, rules: Rules = _RULES) -> Why:
    """Why ``trial`` waits, in full."""
    return Waiting(session, [trial.id], rules).explain(trial)


def reasons(
    session: Session, trial_ids: Collection[int], rules: Rules = _RULES, line: Line | None = None
) -> dict[int, str]:
    """Why each of these trials waits, by id; those that do not are left out."""
    if not trial_ids:
        return {}
    waiting = Waiting(session, set(trial_ids), rules, line)
    trials = session.scalars(select(Trial).where(Trial.id.in_(trial_ids))).all()
    return {trial.id: why for trial in trials if (why := waiting.why(trial)) is not None}
