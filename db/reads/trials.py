"""Trials with their owners and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from db.clock import db_now
from db.models import Attempt, Experiment, Result, Trial, User
from db.reads.listing import Wanted, narrow_trials
from db.states import TERMINAL, TrialState


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One run of one configuration. Times are epoch seconds of the database's clock.

    `seconds` is the time it ran (in a group its share of that), or has run so far, without what it
    waited between its attempts; `metrics` and `summary` are the result's, empty before there is
    one; `ran_on` is cpu or gpu where the spec may have said any. `withheld` says why this viewer
    gets none of its files, when that is so: `api.visibility` sets it.
    """

    id: int
    number: int
    experiment_id: int
    experiment_name: str | None
    owner_id: int
    owner: str
    parent_id: int | None
    kind: str
    state: str
    spec: Mapping[str, Any]
    varied: Mapping[str, Any]
    device: str
    seed: int
    code_name: str
    code_digest: str
    data_name: str | None
    data_digest: str | None
    fence: int
    losses: int
    held: bool
    rung: int | None
    halts_at: int | None
    at_rung: bool
    wish: str | None
    cancel_requested: bool
    ended_early: bool
    reason_kind: str | None
    reason: str | None
    progress_done: float
    progress_total: float | None
    progress_unit: str | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    seconds: float | None
    ran_on: str | None
    metrics: Mapping[str, Any]
    summary: Mapping[str, Any]
    withheld: str | None = None

    @property
    def finished(self) -> bool:
        return TrialState(self.state) in TERMINAL

    @property
    def pending(self) -> str:
        """What a trial is about to do on its slot; empty when nothing was asked of it."""
        if self.state == TrialState.QUEUED and self.wish == "stop":
            return "stopping once it has a slot"
        if self.state != TrialState.RUNNING:
            return ""
        if self.cancel_requested:
            return "cancelling"
        return _PENDING.get(self.wish or "", "")


_PENDING = {
    "pause": "pausing after this epoch",
    "stop": "stopping after this epoch",
    "prune": "being pruned",
}
_Found = Select[Trial, str, str | None, Result, float | None]


def trials_page(
    session: Session, wanted: Wanted, before_id: int | None, limit: int
) -> list[TrialRow]:
    """At most `limit` trials, newest first, all with ids below `before_id`."""
    query = narrow_trials(session, _trials(), wanted).order_by(Trial.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(Trial.id < before_id)
    return [_row(found) for found in session.execute(query).all()]


def trials_of_experiment(
    session: Session, wanted: Wanted, after_number: int | None, limit: int
) -> list[TrialRow]:
    """At most `limit` trials of `wanted.experiment_id` by number, all above `after_number`."""
    query = narrow_trials(session, _trials(), wanted).order_by(Trial.number).limit(limit)
    if after_number is not None:
        query = query.where(Trial.number > after_number)
    return [_row(found) for found in session.execute(query).all()]


def trial_row(session: Session, trial_id: int) -> TrialRow | None:
    found = session.execute(_trials().where(Trial.id == trial_id)).one_or_none()
    return _row(found) if found is not None else None


def rows_by_id(session: Session, ids: Sequence[int]) -> dict[int, TrialRow]:
    """The trials of these ids."""
    query = _trials().where(Trial.id.in_(ids))
    return {row.id: row for row in map(_row, session.execute(query).all())}


def trial_ids(session: Session, experiment_id: int) -> list[int]:
    """The ids of an experiment's trials, by number."""
    query = select(Trial.id).where(Trial.experiment_id == experiment_id).order_by(Trial.number)
    return list(session.scalars(query))


def _trials() -> _Found:
    so_far = func.coalesce(Attempt.slot_seconds, db_now() - Attempt.started_at)
    ran = select(func.sum(so_far)).where(Attempt.trial_id == Trial.id).scalar_subquery()
    return (
        select(Trial, User.name, Experiment.name, Result, ran)
        .join(User, User.id == Trial.owner_id)
        .join(Experiment, Experiment.id == Trial.experiment_id)
        .outerjoin(Result, Result.trial_id == Trial.id)
    )


def _row(found: Any) -> TrialRow:
    trial, owner, experiment_name, result, ran_s = found
    if result is not None:
        ran_s = result.seconds
    return TrialRow(
        id=trial.id,
        number=trial.number,
        experiment_id=trial.experiment_id,
        experiment_name=experiment_name,
        owner_id=trial.owner_id,
        owner=owner,
        parent_id=trial.parent_id,
        kind=trial.kind,
        state=trial.state.value,
        spec=trial.spec,
        varied=trial.varied,
        device=trial.device,
        seed=trial.seed,
        code_name=trial.code_name,
        code_digest=trial.code_digest,
        data_name=trial.data_name,
        data_digest=trial.data_digest,
        fence=trial.fence,
        losses=trial.losses,
        held=trial.held,
        rung=trial.rung,
        halts_at=trial.halts_at,
        at_rung=trial.at_rung,
        wish=trial.wish.value if trial.wish else None,
        cancel_requested=trial.cancel_requested,
        ended_early=trial.ended_early,
        reason_kind=trial.reason_kind,
        reason=trial.reason,
        progress_done=trial.progress_done,
        progress_total=trial.progress_total,
        progress_unit=trial.progress_unit,
        created_at=trial.queued_at,
        started_at=trial.started_at,
        finished_at=trial.finished_at,
        seconds=None if ran_s is None else max(0.0, ran_s),
        ran_on=result.device if result else None,
        metrics=result.metrics if result else {},
        summary=result.summary if result else {},
    )
