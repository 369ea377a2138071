"""With whom a trial of a fused sweep is trained together, and why by itself where it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from db.models import Attempt, Experiment, Result, Slot, Trial
from db.states import TERMINAL, TrialState
from labpool.fusing import (
    APART,
    CRASHED,
    LADDER,
    MAY_DIFFER,
    UNFIT,
    WORTH_IT,
    fuse_of,
    size_that_pays,
    step_of,
    why_unfit,
)

_NAMED = 5
_LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class Company:
    """``trials`` are those that it is, or was last, trained together with; ``sentence`` names them
    or says why there are none."""

    trials: tuple[int, ...]
    sentence: str
    lead: str = ""
    """How the sentence begins, before it names trials."""


def company(session: Session, trial: Trial) -> Company | None:
    """None for a trial that nobody wanted trained together with others."""
    if trial.kind != "train":
        return None
    said = fuse_of(session.get_one(Experiment, trial.experiment_id).spec)
    if said == "off":
        return None
    attempt = _last(session, trial)
    if attempt is not None and (mates := _mates(session, trial, attempt)):
        verb = "is" if trial.state is TrialState.RUNNING else "was last"
        lead = f"It {verb} trained together with trial{'s' * (len(mates) > 1)}"
        return Company(mates, f"{lead} {_named(mates)}.", lead)
    kept_apart = _kept_apart(session, trial, attempt)
    if kept_apart is not None:
        return Company((), kept_apart)
    gains = _gains(session, trial, attempt) if said == "auto" else None
    if trial.state is TrialState.RUNNING or trial.state in TERMINAL:
        if attempt is None:
            return Company((), "It never ran.")
        left = "When it was claimed no other trial like it waited for that slot at its epoch."
        verb = "runs" if trial.state is TrialState.RUNNING else "ran"
        return Company((), gains or f"It {verb} by itself. {left}")
    return Company((), gains or _to_come(session, trial, said))


def _last(session: Session, trial: Trial) -> Attempt | None:
    statement = select(Attempt).where(Attempt.trial_id == trial.id, Attempt.fence == trial.fence)
    return session.scalars(statement).first()


def _mates(session: Session, trial: Trial, attempt: Attempt) -> tuple[int, ...]:
    """Whom the last attempt was made with; of a running trial those that still run."""
    runs = trial.state is TrialState.RUNNING
    if not runs and not _was_group(attempt):
        return ()
    found = select(Attempt.trial_id).where(
        Attempt.lease_id == attempt.lease_id, Attempt.trial_id != trial.id
    )
    if runs:
        found = found.where(Attempt.ended_at.is_(None))
    return tuple(session.scalars(found.order_by(Attempt.trial_id)))


def _was_group(attempt: Attempt) -> bool:
    size = (attempt.environment or {}).get("trained_together")
    return isinstance(size, int) and size > 1


def _named(mates: Sequence[int]) -> str:
    shown = [str(one) for one in mates[:_NAMED]]
    if len(mates) > _NAMED:
        shown.append(f"{len(mates) - _NAMED} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _kept_apart(session: Session, trial: Trial, attempt: Attempt | None) -> str | None:
    """What keeps it from every group."""
    if trial.fuse_key is None:
        return f"It runs by itself: {why_unfit(trial.spec)}"
    if (told := _told_apart(session, trial, attempt)) is not None:
        return told
    if trial.alone:
        return "It runs by itself: its last try was given up while it was in a group."
    alike = _count(session, trial, Trial.fuse_key == trial.fuse_key)
    if alike:
        return None
    names = [name for name in trial.varied if name not in MAY_DIFFER]
    differ = f" ({', '.join(names)})" if names else ""
    return f"It runs by itself: no other trial of its sweep is of its architecture{differ}."


def _told_apart(session: Session, trial: Trial, attempt: Attempt | None) -> str | None:
    """What was said of its own group, or of all of its architecture, when they came apart."""
    reasons = (
        select(Attempt.reason)
        .join(Trial, Trial.id == Attempt.trial_id)
        .where(Trial.experiment_id == trial.experiment_id, Trial.fuse_key == trial.fuse_key)
        .order_by(Attempt.id.desc())
        .limit(1)
    )
    crashed, apart, unfit = (Attempt.reason.startswith(how) for how in (CRASHED, APART, UNFIT))
    own = reasons.where(Trial.id == trial.id, or_(crashed, apart))
    if trial.alone and (said := session.scalar(own)) is not None:
        # How a runner died may quote what not everybody may see; its attempt says it.
        return CRASHED if said.startswith(CRASHED) else said
    if attempt is not None:
        # The first of a group runs on when the others go back.
        with_it = reasons.where(Attempt.lease_id == attempt.lease_id, apart)
        if (said := session.scalar(with_it)) is not None:
            return said
    return session.scalar(reasons.where(unfit))


def _count(session: Session, trial: Trial, *more: object) -> int:
    others = (
        select(func.count())
        .select_from(Trial)
        .where(Trial.experiment_id == trial.experiment_id, Trial.id != trial.id, *more)  # type: ignore[arg-type]
    )
    return session.scalar(others) or 0


def _to_come(session: Session, trial: Trial, said: str | int) -> str:
    waiting = _count(
        session, trial, Trial.fuse_key == trial.fuse_key,
        Trial.state == TrialState.QUEUED, Trial.alone.is_(False),
    )  # fmt: skip
    if not waiting:
        return "No other trial like it waits, so it starts by itself."
    many = f"{waiting} trial{'s' * (waiting > 1)} like it"
    most = f", {said} in a group at most" if isinstance(said, int) else ""
    return f"It starts together with what there is then of {many} that also wait{most}."


def _gains(session: Session, trial: Trial, attempt: Attempt | None) -> str | None:
    """Why `auto` trains it by itself, by what trials of its architecture were measured to gain."""
    speeds = _speeds(session, trial, attempt)
    if LADDER[0] not in speeds:
        return "It runs by itself: auto first measures how fast one of its architecture is alone."
    first = LADDER[1]
    if first in speeds and size_that_pays(speeds) == LADDER[0]:
        gain = speeds[first] / speeds[LADDER[0]]
        return (
            f"It runs by itself: groups of {first} were measured to train {gain:.2f} × as fast, "
            f"and below {WORTH_IT:g} × they do not pay."
        )
    return None


def _speeds(session: Session, trial: Trial, attempt: Attempt | None) -> Mapping[int, float]:
    """Examples a second at the fastest by the size of the group, on slots of its kind."""
    rows = (
        select(Result.metrics, Attempt.environment)
        .join(Trial, Trial.id == Result.trial_id)
        .join(Attempt, (Attempt.trial_id == Trial.id) & (Attempt.fence == Trial.fence))
        .join(Slot, Slot.id == Attempt.slot_id)
        .where(
            Trial.code_name == trial.code_name,
            Trial.trace_key == trial.trace_key,
            Trial.state == TrialState.SUCCEEDED,
        )
        .order_by(Trial.id.desc())
        .limit(_LOOKED_AT)
    )
    if attempt is not None:
        ours = session.get_one(Slot, attempt.slot_id)
        rows = rows.where(Slot.device == ours.device, Slot.name == ours.name)
    found: dict[int, float] = {}
    for metrics, environment in session.execute(rows):
        speed = (metrics or {}).get("images_per_second")
        if speed:
            size = step_of((environment or {}).get("trained_together") or 1)
            found[size] = max(speed, found.get(size, 0.0))
    return found
