"""What a submission would cost, when it would be done, and whom it would delay; nothing is stored.

It is told from how long trials took lately and from the queue as it is now, so it is a guess: what
ends earlier or comes in between changes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.estimates import LOOKED_AT, History, shown_s
from db.fairness import Rules, Waiter
from db.forecast_groups import Grouping, grouping
from db.foresight import Run, run_ahead
from db.models import Attempt, Trial
from db.priorities import CLASSES
from db.queue_order import Line, frees, read_line
from db.serving import Needs, Serving
from db.states import TrialState
from labpool.durations import duration
from labpool.planning import Plan, TrialPlan
from labpool.search import count
from labpool.search.costs import least_and_most_trained, share_trained
from labpool.spec import SPEC, SweepSpec

# Further ahead nothing can be told, and telling it has a price.
MOST_RUNS = 5000
# Less than this is no delay that anybody notices.
_LEAST_DELAY_S = 1.0


@dataclass(frozen=True, slots=True)
class Delay:
    """So many waiting trials of another user would start later, one by ``seconds`` at most."""

    owner_id: int
    trials: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is not known is None: ``arithmetic`` says how the figures come, or why there are none;
    ``lacking`` what the pool does not have for it, ``grouping`` what is trained together."""

    trials: int
    slot_seconds: float | None
    finish_s: float | None
    delays: tuple[Delay, ...]
    able_slots: int
    devices: tuple[str, ...]
    lacking: str | None
    arithmetic: str
    least_and_most_s: tuple[float, float] | None = None
    """Between which slot-seconds pruning leaves it."""
    grouping: Grouping | None = None


@dataclass(frozen=True, slots=True)
class _Cost:
    trial_s: float
    words: str


def forecast(session: Session, made: Plan, owner_id: int, rules: Rules) -> Forecast:
    """What ``made`` would come to, were it submitted now by this user."""
    serving = Serving(session)
    spec = SPEC.validate_python(made.spec)
    trials = count(spec) if isinstance(spec, SweepSpec) else len(made.trials)
    needs = {_needs(trial) for trial in made.trials}
    slots = {slot.id: slot.device for one in needs for slot in serving.able(one)}
    lacks = next((lack for one in sorted(needs, key=str) if (lack := serving.lacking(one))), None)
    found = Forecast(
        trials, None, None, (), len(slots), tuple(sorted(set(slots.values()))), lacks, ""
    )
    share = share_trained(spec) if isinstance(spec, SweepSpec) else 1.0
    taken = _Costs(session)
    costs = [taken.of(trial, share) for trial in made.trials]
    known = [cost for cost in costs if cost is not None]
    trial_s = sum(cost.trial_s for cost in known) / len(known) if len(known) == len(costs) else None
    together = grouping(session, made, trials, len(slots), trial_s, share)
    found = replace(found, grouping=together)
    if len(known) < len(costs):
        name = next(one.code_name for one, cost in zip(made.trials, costs, strict=True) if not cost)
        return replace(found, arithmetic=f"No estimate: no trial of {name} has ended well yet.")
    # A strategy that learns has laid out its first trials only; the others cost as much.
    times = [known[number % len(known)].trial_s for number in range(trials)]
    words = f"{trials} × {shown_s(sum(times) / trials)} ({known[0].words})"
    if share < 1:
        words += f"; pruning trains {share:.0%} of it"
    if together is not None and together.times is not None:
        times = list(together.times)
        words = f"{words}; together {shown_s(sum(times))} of slots"
    if isinstance(spec, SweepSpec) and (shares := least_and_most_trained(spec)) is not None:
        least, most = (sum(times) / share * one for one in shares)
        found = replace(found, least_and_most_s=(least, most))
    budget = spec.budget_slot_seconds if isinstance(spec, SweepSpec) else None
    if budget is not None and sum(times) > budget:
        times = _within(times, budget)
        words += f"; the budget ends it at {duration(budget)}"
    found = replace(found, slot_seconds=sum(times), arithmetic=f"{words}.")
    if not slots:
        return found
    return _placed(found, read_line(session, rules, serving), serving, made, owner_id, times, slots)


def pace_of(session: Session, code_name: str, unit: str) -> tuple[float, str] | None:
    """Seconds that an ``epoch``, or else a trial, of this model or kernel takes on its slot, as a
    forecast counts it, and what tells so; None where no trial of it has ended well yet."""
    if unit == "epoch":
        known = _Costs(session).epoch(code_name)
        return None if known is None else (known[0], _source(code_name, known[1]))
    typical = History(session).of(code_name)
    return None if typical is None else (typical.median_s, _source(code_name, typical.count))


def _placed(
    found: Forecast,
    line: Line,
    serving: Serving,
    made: Plan,
    owner_id: int,
    times: Sequence[float],
    slots: Mapping[int, str],
) -> Forecast:
    """The same with its end and its delays, from the queue run ahead with and without it."""
    others = [
        place.waiter
        for place in line.places
        if any(slot.id in slots for slot in serving.able(line.needs[place.waiter.trial_id]))
    ]
    after = max((waiter.trial_id for waiter in others), default=0) + 1
    priority = CLASSES[made.trials[0].spec["priority"]]
    mine = {after + at: seconds for at, seconds in enumerate(times)}
    new = [Waiter(trial_id, owner_id, priority, True) for trial_id in mine]
    without = _run(line, others, slots, {})
    with_it = _run(line, [*others, *new], slots, mine)
    ends = [run.ends_s for trial_id, run in with_it.items() if trial_id in mine]
    finish_s = max(ends) if len(ends) == len(new) else None
    return replace(found, finish_s=finish_s, delays=_delays(owner_id, without, with_it))


def _run(
    line: Line, waiters: Sequence[Waiter], slots: Mapping[int, str], mine: Mapping[int, float]
) -> dict[int, Run]:
    def run_s(waiter: Waiter) -> float:
        if waiter.trial_id in mine:
            return mine[waiter.trial_id]
        typical = line.history.of(line.needs[waiter.trial_id].code_name)
        return 60.0 if typical is None else typical.median_s

    runs, _ = run_ahead(waiters, line.standings, frees(line, slots), run_s, MOST_RUNS)
    return {run.waiter.trial_id: run for run in runs}


def _delays(
    owner_id: int, without: Mapping[int, Run], with_it: Mapping[int, Run]
) -> tuple[Delay, ...]:
    later: dict[int, list[float]] = {}
    for trial_id, run in without.items():
        if run.waiter.owner_id != owner_id and trial_id in with_it:
            more_s = with_it[trial_id].starts_s - run.starts_s
            if more_s >= _LEAST_DELAY_S:
                later.setdefault(run.waiter.owner_id, []).append(more_s)
    found = [Delay(owner, len(delays), max(delays)) for owner, delays in later.items()]
    return tuple(sorted(found, key=lambda delay: (-delay.seconds, delay.owner_id)))


def _needs(trial: TrialPlan) -> Needs:
    return Needs(
        trial.device, trial.kind, trial.code_name, trial.code_digest,
        trial.data_name, trial.data_digest,
    )  # fmt: skip


def _within(times: Sequence[float], budget: float) -> list[float]:
    """The trials that begin before so much has been used; the last is cut where it is spent."""
    kept: list[float] = []
    left = budget
    for seconds in times:
        if left <= 0:
            break
        kept.append(min(seconds, left))
        left -= seconds
    return kept


class _Costs:
    """How long a trial holds its slot, by what its model or kernel took lately."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._history = History(session)
        self._by_epoch: dict[str, tuple[float, int] | None] = {}

    def of(self, trial: TrialPlan, share: float) -> _Cost | None:
        """None where no trial of it has ended well yet. ``share`` of its epochs are trained."""
        if trial.kind == "train" and (known := self.epoch(trial.code_name)) is not None:
            epoch_s, count = known
            epochs = trial.spec["epochs"]
            words = f"{epochs} epochs of {shown_s(epoch_s)}, {_source(trial.code_name, count)}"
            return _Cost(epoch_s * epochs * share, words)
        typical = self._history.of(trial.code_name)
        if typical is None:
            return None
        return _Cost(typical.median_s * share, _source(trial.code_name, typical.count))

    def epoch(self, code_name: str) -> tuple[float, int] | None:
        """Seconds an epoch, and of how many trials that is the median."""
        if code_name not in self._by_epoch:
            self._by_epoch[code_name] = self._look(code_name)
        return self._by_epoch[code_name]

    def _look(self, code_name: str) -> tuple[float, int] | None:
        """Seconds an epoch at the median of the last trials, all that they needed in them."""
        last = (
            select(Trial.id)
            .where(
                Trial.code_name == code_name,
                Trial.state == TrialState.SUCCEEDED,
                Trial.progress_unit == "epoch",
                Trial.progress_done > 0,
            )
            .order_by(Trial.id.desc())
            .limit(LOOKED_AT)
        )
        rows = self._session.execute(
            select(func.sum(Attempt.slot_seconds) / Trial.progress_done)
            .select_from(Attempt)
            .join(Trial, Trial.id == Attempt.trial_id)
            .where(Attempt.trial_id.in_(last), Attempt.charged.is_(True))
            .group_by(Trial.id, Trial.progress_done)
        ).scalars()
        known = [float(seconds) for seconds in rows if seconds is not None]
        return (median(known), len(known)) if known else None


def _source(name: str, count: int) -> str:
    return f"median of the last {count} trials of {name}" if count > 1 else f"one trial of {name}"
