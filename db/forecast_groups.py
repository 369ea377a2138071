"""What training a submission's trials together would come to, from what groups took before.

A group is told of as a slot would take it: so many alike trials, idle slots having their part. How
long its members take is what trials of the same architecture took in groups of that size; where
none has ended yet, that is said and nothing is made up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from db.estimates import shown_s
from db.models import Attempt, Trial
from db.states import TrialState
from labpool.durations import duration
from labpool.fusing import LADDER, fuse_of, size_that_pays, step_of
from labpool.planning import Plan

_LOOKED_AT = 200

Speeds = Mapping[int, float]
"""Slot-seconds that a member took for an epoch, by the step of the ladder of its group's size."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """``groups`` has how many groups there are by their size, ``times`` what each run of a slot
    takes, or None where that is not known; ``sentence`` tells people."""

    groups: Mapping[int, int]
    times: tuple[float, ...] | None
    saved_s: float | None
    sentence: str


def grouping(
    session: Session, made: Plan, trials: int, slots: int, trial_s: float | None, share: float
) -> Grouping | None:
    """None where nothing is to be trained together.

    ``trials`` are all that there will be, of which ``made`` may have laid out the first only.
    ``trial_s`` is how long one is expected to take alone, and ``share`` how much of it is trained.
    """
    said = fuse_of(made.spec)
    if said == "off":
        return None
    alike = Counter(trial.fuse_key for trial in made.trials)
    if not +Counter({key: n for key, n in alike.items() if key is not None and n > 1}):
        return Grouping({}, None, None, _ALL_APART if None in alike else _NO_TWO)
    by_key: dict[str | None, Any] = {trial.fuse_key: trial for trial in made.trials}
    planned = [
        _planned(
            _speeds(session, by_key[key]) if key else {},
            round(count * trials / len(made.trials)),
            said if key else 1,
            slots,
            by_key[key].spec["epochs"] * share,
            trial_s,
        )
        for key, count in alike.items()
    ]
    return _summed(planned)


@dataclass(frozen=True, slots=True)
class _Planned:
    """The trials of one architecture: their groups, what each takes, and what one takes alone."""

    sizes: tuple[int, ...]
    member_s: float | None
    alone_s: float | None
    is_tried: bool = False

    def taken_s(self, size: int) -> float:
        """How long a slot is taken by one of these groups, of which the last may be smaller."""
        one_s = self.alone_s if size == 1 and self.alone_s is not None else self.member_s
        return size * (one_s or 0.0)


def _planned(
    speeds: Speeds, count: int, said: str | int, slots: int, epochs: float, trial_s: float | None
) -> _Planned:
    alone_s = speeds[1] * epochs if 1 in speeds else trial_s
    wanted = said if isinstance(said, int) else size_that_pays(_rates(speeds))
    is_tried = said == "auto" and not _is_settled(speeds)
    size = max(1, min(wanted, -(-count // max(1, slots))))
    sizes = tuple(min(size, count - at) for at in range(0, count, size))
    if size == 1:
        return _Planned(sizes, alone_s, alone_s, is_tried)
    epoch_s = speeds.get(_measured_as(size))
    return _Planned(sizes, None if epoch_s is None else epoch_s * epochs, alone_s, is_tried)


def _summed(planned: Sequence[_Planned]) -> Grouping:
    groups: Counter[int] = Counter(size for one in planned for size in one.sizes if size > 1)
    alone = sum(size == 1 for one in planned for size in one.sizes)
    words = [_shape(groups, alone)]
    times: tuple[float, ...] | None = None
    saved_s: float | None = None
    if any(one.is_tried for one in planned):
        words.append(
            "What pays on a slot is not known yet: auto runs one trial alone, then tries "
            f"{', '.join(map(str, LADDER[1:-1]))} and {LADDER[-1]} together while that gains."
        )
    elif any(one.member_s is None for one in planned):
        words.append(
            "What that saves is unknown yet: no such group of this architecture has ended well."
        )
    else:
        times = tuple(one.taken_s(size) for one in planned for size in one.sizes)
        if groups and all(one.alone_s is not None for one in planned):
            saved_s = sum(sum(one.sizes) * (one.alone_s or 0.0) for one in planned) - sum(times)
            words.append(_compared(planned, saved_s))
    return Grouping(dict(groups), times, saved_s, " ".join(words))


def _shape(groups: Mapping[int, int], alone: int) -> str:
    parts = [
        f"{count} group{'s' * (count > 1)} of {size}"
        for size, count in sorted(groups.items(), reverse=True)
    ]
    if alone:
        parts.append(f"{alone} trial{'s' * (alone > 1)} alone")
    return f"{' and '.join(parts)}."


def _compared(planned: Sequence[_Planned], saved_s: float) -> str:
    first = max(planned, key=lambda one: sum(one.sizes))
    member_s, alone_s = first.member_s or 0.0, first.alone_s or 0.0
    verb = "saves" if saved_s >= 0 else "costs"
    return (
        f"A member takes {shown_s(member_s)} of a slot, alone {shown_s(alone_s)}: "
        f"that {verb} {duration(abs(saved_s))}, as measured here before."
    )


def _rates(speeds: Speeds) -> dict[int, float]:
    return {size: 1.0 / seconds for size, seconds in speeds.items() if seconds > 0}


def _is_settled(speeds: Speeds) -> bool:
    """Whether a slot that has measured as much would try no further size."""
    return size_that_pays(_rates(speeds)) in speeds


def _measured_as(size: int) -> int:
    # Below the ladder's second step a pair is no single trial.
    return size if size < LADDER[1] else step_of(size)


def _speeds(session: Session, trial: Any) -> Speeds:
    """What an epoch took lately, of the trials of one architecture."""
    last = (
        select(Trial.id)
        .where(
            Trial.code_name == trial.code_name,
            Trial.state == TrialState.SUCCEEDED,
            Trial.progress_unit == "epoch",
            Trial.progress_done > 0,
            or_(Trial.fuse_key == trial.fuse_key, Trial.trace_key == trial.trace_key),
        )
        .order_by(Trial.id.desc())
        .limit(_LOOKED_AT)
    )
    rows = session.execute(
        select(
            Attempt.environment,
            Attempt.slot_seconds,
            Trial.progress_done,
            func.coalesce(Attempt.resumed_epoch, 0),
        )
        .join(Trial, Trial.id == Attempt.trial_id)
        .where(Attempt.trial_id.in_(last), Attempt.fence == Trial.fence)
    )
    found: dict[int, list[float]] = defaultdict(list)
    for environment, seconds, done, resumed in rows:
        if seconds and done > resumed:
            size = (environment or {}).get("trained_together") or 1
            found[_measured_as(size)].append(float(seconds) / (done - resumed))
    return {size: median(seconds) for size, seconds in found.items()}


_NO_TWO = "No two of its trials are of one architecture, so each runs alone."
_ALL_APART = "Its trials cannot be trained together, so each runs alone."
