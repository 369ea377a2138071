"""Why a trial waits: what it lacks, who is ahead, whose turn it is, and a guess of when."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import clock
from db.estimates import AtWork, Estimate, History, estimate, taken_of
from db.fairness import NOBODY, Rules, Standing, Waiter
from db.models import Trial
from db.queue_order import Line, next_owner, read_line, told
from db.searching.waiting import Rungs
from db.serving import Needs, Serving
from db.states import TrialState
from db.why import Reason, Why, in_turn, not_waiting
from labpool.durations import duration

_RULES = Rules()


@dataclass(frozen=True, slots=True)
class _Rivals:
    """What competes for some slots: who gets the next of them, and what is ahead of each trial, by
    its model or kernel and its owner."""

    next_owner_id: int | None
    ahead: Mapping[int, Mapping[tuple[str, int], int]]
    due: Sequence[Waiter]


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
        self._rungs = Rungs(session)
        self._places: dict[int, int] | None = None
        self._rivals: dict[frozenset[int], _Rivals] = {}

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
        if trial.state is TrialState.PAUSED and trial.at_rung:
            says = self._rungs.why(trial)
            return Why(trial.id, trial.state, "rung", says, trial.owner_id, trial.priority)
        if trial.state is not TrialState.QUEUED:
            return not_waiting(trial)
        if trial.held:
            says = f"It is held back until `labpool resume {trial.id} --trial`."
            return self._plain(trial, "held", says)
        if trial.not_before is not None and trial.not_before > self._now:
            return self._backing_off(trial, trial.not_before - self._now)
        lacks = self.lacking(trial)
        if lacks is not None:
            return self._plain(trial, "lacking", lacks)
        return self._in_line(trial)

    def _plain(self, trial: Trial, reason: Reason, sentence: str) -> Why:
        return Why(
            trial.id, trial.state, reason, sentence, trial.owner_id, trial.priority,
            self._standing(trial.owner_id), waited_s=self._waited_s(trial),
        )  # fmt: skip

    def _backing_off(self, trial: Trial, wait_s: float) -> Why:
        """It starts no sooner; whoever waits then is ahead of it, and that nobody knows yet."""
        says = f"It waits {duration(wait_s)} before the next try: {trial.reason}"
        able = self._able(Needs.of(trial))
        found = self._plain(trial, "backoff", says)
        if not able:
            return found
        arithmetic = f"Its next try is in {duration(wait_s)} at the earliest."
        ahead = len(self._competing(able).due)
        if ahead:
            arithmetic += f" {ahead} that could take its slots wait now."
        return replace(
            found, place=self._place(trial.id), able_slots=len(able),
            free_slots=len(able) - len(taken_of(self._line().taken, able)),
            estimate=Estimate(wait_s, arithmetic),
        )  # fmt: skip

    def _in_line(self, trial: Trial) -> Why:
        able = self._able(Needs.of(trial))
        rivals = self._competing(able)
        if trial.id not in rivals.ahead:  # it was taken or came in between two looks
            return self._plain(trial, "turn", "It starts when a slot is free.")
        waited_s = self._waited_s(trial)
        by_age_s = max(0.0, self._rules.ageing_s - waited_s)
        standing = self._standing(trial.owner_id)
        ahead = rivals.ahead[trial.id]
        own = {key: count for key, count in ahead.items() if key[1] == trial.owner_id}
        guess = self._estimate(trial.owner_id, ahead, own, able)
        if not standing.is_full():
            guess = self._or_by_age(trial, guess, by_age_s, able)
        shown = own if standing.is_full() else ahead
        by_owner: Counter[int] = Counter()
        for (_, owner_id), count in shown.items():
            by_owner[owner_id] += count
        free = len(able) - len(taken_of(self._taken(), able))
        following = rivals.next_owner_id
        return Why(
            trial_id=trial.id,
            state=trial.state,
            reason="capped" if standing.is_full() else "turn",
            sentence=in_turn(by_owner.total(), free, standing, guess),
            owner_id=trial.owner_id,
            priority=trial.priority,
            standing=standing,
            place=self._place(trial.id),
            ahead=by_owner.total(),
            by_owner=tuple(by_owner.most_common()),
            next_owner_id=following,
            next_standing=None if following is None else self._standing(following),
            able_slots=len(able),
            free_slots=free,
            waited_s=waited_s,
            by_age_s=by_age_s,
            estimate=guess,
        )

    def _estimate(
        self,
        owner_id: int,
        ahead: Mapping[tuple[str, int], int],
        own: Mapping[tuple[str, int], int],
        able: frozenset[int],
    ) -> Estimate:
        """When its turn comes; later, where its owner's cap lets it start only later."""
        taken = taken_of(self._taken(), able)
        by_turn = estimate(_by_code(ahead), taken, len(able), self._history)
        standing = self._standing(owner_id)
        if standing.limit is None or not standing.is_full(sum(own.values())):
            return by_turn
        theirs = [slot for slot in self._taken() if slot.owner_id == owner_id]
        which = "that its owner may hold at once"
        by_cap = estimate(_by_code(own), theirs, standing.limit, self._history, which)
        if by_turn.seconds is None or by_cap.seconds is None:
            return by_turn if by_turn.seconds is None else by_cap
        return by_cap if by_cap.seconds > by_turn.seconds else by_turn

    def _or_by_age(
        self, trial: Trial, guess: Estimate, by_age_s: float, able: frozenset[int]
    ) -> Estimate:
        """The turn by age, where that comes sooner: once in so many runs of each slot."""
        line = self._line()
        rivals = self._competing(able).due
        names = {line.needs[one.trial_id].code_name for one in rivals}
        typical = [found.median_s for name in names if (found := self._history.of(name))]
        taken = taken_of(line.taken, able)
        if guess.seconds is None or len(typical) < len(names) or guess.seconds <= by_age_s:
            return guess
        # What runs keeps its age when it is given back; that is rare, and this is a guess.
        mine = (line.since[trial.id], trial.id)
        older = sum((line.since[one.trial_id], one.trial_id) < mine for one in rivals)
        rounds = math.ceil((older + 1) / len(able))
        run_s = max([*typical, *(one.left_s for one in taken if one.left_s is not None)])
        seconds = by_age_s + self._rules.ageing_turn * run_s * rounds
        if seconds >= guess.seconds:
            return guess
        runs = self._rules.ageing_turn * rounds
        return Estimate(
            seconds,
            f"Sooner by age: {duration(by_age_s)} until then + {runs} runs of a slot × "
            f"{duration(run_s)} (one claim in {self._rules.ageing_turn} goes to what is oldest; "
            f"{older} older) ≈ {duration(seconds)}.",
        )

    def _waited_s(self, trial: Trial) -> float:
        return max(0.0, self._now - (trial.let_go_at or trial.queued_at))

    def _line(self) -> Line:
        if self._known is None:
            self._known = read_line(self._session, self._rules, self._serving)
        return self._known

    @property
    def _history(self) -> History:
        return self._line().history

    def _standing(self, user_id: int) -> Standing:
        return self._line().standings.get(user_id, NOBODY)

    def _taken(self) -> Sequence[AtWork]:
        return self._line().taken

    def _able(self, needs: Needs) -> frozenset[int]:
        return frozenset(slot.id for slot in self._serving.able(needs))

    def _place(self, trial_id: int) -> int | None:
        if self._places is None:
            self._places = {row.waiter.trial_id: row.place for row in self._line().places}
        return self._places.get(trial_id)

    def _competing(self, able: frozenset[int]) -> _Rivals:
        """The queue for these slots alone, walked once."""
        if able not in self._rivals:
            self._rivals[able] = self._walk(able)
        return self._rivals[able]

    def _walk(self, able: frozenset[int]) -> _Rivals:
        line = self._line()
        sharing = {needs for needs in set(line.needs.values()) if able & self._able(needs)}
        waiters = [row.waiter for row in line.places if row.waiter.due]
        rivals = [waiter for waiter in waiters if line.needs[waiter.trial_id] in sharing]
        ahead: Counter[tuple[str, int]] = Counter()
        of_each: dict[int, Mapping[tuple[str, int], int]] = {}
        # A cap delays its owner's trials; that does not bring them after everybody else's.
        for row in told(line, rivals, able, capped=False):
            trial_id, owner_id = row.waiter.trial_id, row.waiter.owner_id
            if self._only is None or trial_id in self._only:
                of_each[trial_id] = dict(ahead)
            ahead[line.needs[trial_id].code_name, owner_id] += 1
        return _Rivals(next_owner(line, rivals, able), of_each, rivals)


def _by_code(ahead: Mapping[tuple[str, int], int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (code_name, _), count in ahead.items():
        found[code_name] += count
    return found


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
