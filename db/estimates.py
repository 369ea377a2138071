"""A guess of when a waiting trial starts, with the arithmetic that it comes from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Attempt, Lease, Trial
from db.states import TrialState
from labpool.durations import duration

LOOKED_AT = 20


@dataclass(frozen=True, slots=True)
class Estimate:
    """`seconds` until it starts, or None; `arithmetic` says how that comes, or why there is none"""

    seconds: float | None
    arithmetic: str


@dataclass(frozen=True, slots=True)
class Typical:
    """How long the last `count` trials of one model or kernel held a slot, at the median."""

    median_s: float
    count: int


class History:
    """What trials took lately, by the name of their model or kernel; each looked up once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[str, Typical | None] = {}

    def of(self, code_name: str) -> Typical | None:
        """None when no trial of it has ended well yet."""
        if code_name not in self._known:
            self._known[code_name] = self._look(code_name)
        return self._known[code_name]

    def _look(self, code_name: str) -> Typical | None:
        last = (
            select(Trial.id)
            .where(Trial.code_name == code_name, Trial.state == TrialState.SUCCEEDED)
            .order_by(Trial.id.desc())
            .limit(LOOKED_AT)
        )
        seconds = self._session.scalars(
            select(func.sum(Attempt.slot_seconds))
            .where(Attempt.trial_id.in_(last), Attempt.charged.is_(True))
            .group_by(Attempt.trial_id)
        ).all()
        known = [held_s for held_s in seconds if held_s is not None]
        return Typical(median(known), len(known)) if known else None


@dataclass(frozen=True, slots=True)
class AtWork:
    """A slot that is taken, whose it is, and how long that still takes where it can be told."""

    slot_id: int
    owner_id: int
    left_s: float | None


def at_work(session: Session, history: History, now: float) -> list[AtWork]:
    """Every slot that holds something."""
    rows = session.execute(
        select(Lease, Trial, Attempt.resumed_epoch)
        .join(Trial, Trial.lease_id == Lease.id)
        .join(Attempt, (Attempt.trial_id == Trial.id) & (Attempt.fence == Trial.fence))
        .where(Trial.state == TrialState.RUNNING)
        .order_by(Lease.created_at, Lease.id)
    )
    found: dict[int, AtWork] = {}
    for lease, trial, resumed in rows:
        left_s = _left_s(trial, now - lease.created_at, float(resumed or 0), history)
        other = found.get(lease.slot_id)
        # Trials that share a slot leave it when the last of them is done.
        if other is not None and other.left_s is not None and left_s is not None:
            left_s = max(left_s, other.left_s)
        found[lease.slot_id] = AtWork(lease.slot_id, trial.owner_id, left_s)
    return list(found.values())


def _left_s(trial: Trial, elapsed_s: float, begun_at: float, history: History) -> float | None:
    done = trial.progress_done - begun_at
    # Earlier the time is that of loading, not of the work.
    least = 1.0 if trial.progress_unit == "epoch" else 0.02 * (trial.progress_total or 0.0)
    if trial.progress_total and done >= max(least, 1e-9):
        return max(0.0, trial.progress_total - trial.progress_done) * elapsed_s / done
    typical = history.of(trial.code_name)
    return None if typical is None else max(0.0, typical.median_s - elapsed_s)


def estimate(
    ahead: Mapping[str, int],
    taken: Sequence[AtWork],
    slots: int,
    history: History,
    which: str = "that can serve it",
) -> Estimate:
    """When `slots` are through with what runs on the `taken` ones of them and what is `ahead`.

    `ahead` counts the waiting trials that come first by the name of their model or kernel.
    """
    typical = {name: history.of(name) for name in ahead}
    known = {name: found for name, found in typical.items() if found is not None}
    if len(known) < len(typical):
        name = min(set(typical) - set(known))
        return Estimate(None, f"No estimate: no trial of {name} has ended well yet.")
    left = [slot.left_s for slot in taken if slot.left_s is not None]
    if len(left) < len(taken):
        return Estimate(None, "No estimate: nothing tells yet how long what runs still takes.")
    slots_text = f"{slots} slot{'s' if slots != 1 else ''} {which}"
    if not ahead:
        if len(taken) < slots:
            return Estimate(0.0, f"One of {slots_text} is free.")
        return Estimate(min(left), f"The first of {slots_text} is free in ≈ {shown_s(min(left))}.")
    total_s = sum(ahead[name] * found.median_s for name, found in known.items()) + sum(left)
    sums = [
        f"{ahead[name]} ahead × {shown_s(found.median_s)} ({_source(name, found.count)})"
        for name, found in known.items()
    ]
    if left:
        sums.append(f"{shown_s(sum(left))} left of what runs")
    seconds = total_s / slots
    return Estimate(seconds, f"{' + '.join(sums)}, over {slots_text} ≈ {shown_s(seconds)}.")


def shown_s(seconds: float) -> str:
    """Short times in seconds alone, so that they can be multiplied in one's head."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 100 else duration(seconds)


def soon(seconds: float) -> str:
    """A guess as sentences tell it."""
    return "any moment" if seconds < 5 else f"in about {duration(seconds)}"


def _source(name: str, count: int) -> str:
    return f"median of the last {count} trials of {name}" if count > 1 else f"one trial of {name}"


def taken_of(found: Collection[AtWork], slot_ids: Collection[int]) -> list[AtWork]:
    """Those of `found` that hold one of these slots."""
    return [slot for slot in found if slot.slot_id in slot_ids]
