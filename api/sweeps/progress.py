"""The best value so far, over time and over what the sweep had used by then."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from api.sweeps.judging import Judge
from db.reads.sweeps import Stint, Sweep, SweepTrial


@dataclass(frozen=True, slots=True)
class Step:
    """A trial that came to a better value than all before: after ``at_s`` seconds from the
    submission and ``slot_seconds`` of the whole sweep."""

    at_s: float
    slot_seconds: float
    value: float
    trial_id: int


class Use:
    """Slot-seconds that count, up to any time. A group's slot is split among its trials."""

    def __init__(self, sweep: Sweep) -> None:
        self._now = sweep.now
        self._stints = [stint for stint in sweep.stints if stint.charged]
        running = Counter(stint.lease_id for stint in sweep.stints if stint.ended_at is None)
        self._sharers: Mapping[int, int] = running

    def of(self, stint: Stint) -> float:
        """What the stint has used by now."""
        if stint.seconds is not None:
            return max(0.0, stint.seconds)
        end = self._now if stint.ended_at is None else stint.ended_at
        return max(0.0, end - stint.started_at) / max(1, self._sharers.get(stint.lease_id, 1))

    def until(self, when: float) -> float:
        """What all have used until a time; each evenly while it ran."""
        used = 0.0
        for stint in self._stints:
            end = self._now if stint.ended_at is None else stint.ended_at
            length = end - stint.started_at
            share = 1.0 if length <= 0 else (when - stint.started_at) / length
            used += self.of(stint) * min(1.0, max(0.0, share))
        return used

    @property
    def total(self) -> float:
        """What counts by now."""
        return sum(self.of(stint) for stint in self._stints)


def steps_of(sweep: Sweep, judge: Judge | None) -> list[Step]:
    """Every time the best value so far changed. When an epoch ended is told by its place in its
    stint, as if all took equally long; when a result came, exactly."""
    if judge is None:
        return []
    stints = sweep.stints_of
    found = [
        (when, trial.row.trial_id, value)
        for trial in sweep.trials
        for when, value in _values(trial, judge, stints.get(trial.row.trial_id, ()), sweep.now)
        if math.isfinite(value)
    ]
    use, best, steps = Use(sweep), -math.inf, []
    for when, trial_id, value in sorted(found):
        if judge.score(value) > best:
            best = judge.score(value)
            at_s = max(0.0, when - sweep.created_at)
            steps.append(Step(at_s, use.until(when), value, trial_id))
    return steps


def _values(
    trial: SweepTrial, judge: Judge, stints: Sequence[Stint], now: float
) -> Iterator[tuple[float, float]]:
    for number, stint in enumerate(stints):
        following = stints[number + 1] if number + 1 < len(stints) else None
        last = following.resumed_epoch if following else max(trial.row.reports, default=0)
        first = stint.resumed_epoch
        end = stint.ended_at
        if end is None:
            end = trial.progress_at or now
        for epoch, value in trial.row.reports.items():
            if first < epoch <= last:
                share = (epoch - first) / (last - first)
                yield stint.started_at + share * max(0.0, end - stint.started_at), value
    result = trial.row.metrics.get(judge.metric)
    if result is not None and trial.finished_at is not None:
        yield trial.finished_at, result
