"""Questions to trained models: claimed by a worker's predictor, answered, ended.

None is a trial's business: no slot, no turn and no share of the pool is touched. Each has a
deadline, and whoever looks at it past that ends it, so nothing waits for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session, undefer

from db import clock
from db.checkpoints import ResumePoint, best_point
from db.clock import db_now
from db.errors import FencedOff
from db.models import Prediction, Trial, Worker
from db.reads.predictions import waits_for
from db.states import OPEN_PREDICTIONS, PredictionState
from db.text import storable
from db.transitions.one_row import one_row

# A second try helps against a worker that went; what breaks two runners breaks a third.
MOST_TRIES = 2
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class ClaimedPrediction:
    """A question to answer under ``fence``, from ``checkpoint``, within ``left_s`` seconds."""

    prediction_id: int
    fence: int
    form: str
    input: bytes
    options: Mapping[str, Any]
    trial_id: int
    spec: Mapping[str, Any]
    code_name: str
    code_digest: str
    data_name: str | None
    data_digest: str | None
    checkpoint: ResumePoint
    left_s: float


def has_open(session: Session) -> bool:
    """Whether any question is not answered yet: to be asked before a claim, in a snapshot."""
    found = select(Prediction.id).where(Prediction.state.in_(OPEN_PREDICTIONS)).limit(1)
    return session.scalar(found) is not None


def claim(
    session: Session,
    worker_id: str,
    code_digests: Sequence[str],
    data_digests: Sequence[str],
    lease_s: float,
) -> ClaimedPrediction | None:
    """Take the oldest question that this worker's catalog can answer; None when there is none."""
    end_overdue(session)
    prediction = session.scalars(
        select(Prediction)
        .join(Trial, Trial.id == Prediction.trial_id)
        .where(
            _claimable(),
            Trial.code_digest.in_(code_digests),
            or_(Trial.data_digest.is_(None), Trial.data_digest.in_(data_digests)),
            _takes_work(worker_id),
        )
        .order_by(Prediction.id)
        .limit(1)
        .with_for_update(of=Prediction, skip_locked=True)
        .options(undefer(Prediction.input))
        .execution_options(populate_existing=True)
    ).one_or_none()
    if prediction is None:
        return None
    trial = session.get_one(Trial, prediction.trial_id)
    point = best_point(session, trial.id)
    if point is None:
        _end(prediction, "no_checkpoint", "The trial's best checkpoint is gone.", session)
        return None
    now = clock.now(session)
    prediction.state = PredictionState.RUNNING
    prediction.fence += 1
    prediction.worker_id = worker_id
    prediction.started_at = now
    prediction.lease_expires_at = now + lease_s
    prediction.epoch, prediction.checkpoint_sha256 = point.epoch, point.sha256
    session.flush()
    return ClaimedPrediction(
        prediction_id=prediction.id,
        fence=prediction.fence,
        form=prediction.form,
        input=prediction.input,
        options=prediction.options,
        trial_id=trial.id,
        spec=trial.spec,
        code_name=trial.code_name,
        code_digest=trial.code_digest,
        data_name=trial.data_name,
        data_digest=trial.data_digest,
        checkpoint=point,
        left_s=prediction.deadline_at - now,
    )


def _claimable() -> ColumnElement[bool]:
    abandoned = (Prediction.state == PredictionState.RUNNING) & (
        Prediction.lease_expires_at < db_now()
    )
    waits = Prediction.state == PredictionState.WAITING
    # Said with the index's own words, so that it is used.
    is_open = Prediction.state.in_(OPEN_PREDICTIONS)
    return is_open & or_(waits, abandoned) & (Prediction.deadline_at > db_now())


def _takes_work(worker_id: str) -> ColumnElement[bool]:
    living = select(Worker.id).where(
        Worker.id == worker_id, Worker.drain_at.is_(None), Worker.stopped_at.is_(None)
    )
    return living.exists()


def beat(session: Session, prediction_id: int, fence: int, lease_s: float) -> None:
    """Keep a question for ``lease_s`` more. Raises FencedOff."""
    _own(session, prediction_id, fence, lease_expires_at=db_now() + lease_s)


def answer(
    session: Session,
    prediction_id: int,
    fence: int,
    arrays: Sequence[Mapping[str, Any]],
    outputs: bytes,
    about: Mapping[str, Any],
) -> None:
    """Store the answer. Raises FencedOff."""
    _own(
        session, prediction_id, fence, state=PredictionState.DONE, finished_at=db_now(),
        arrays=[dict(array) for array in arrays], outputs=outputs, about=storable(dict(about)),
        input=b"", lease_expires_at=None,
    )  # fmt: skip


def fail(session: Session, prediction_id: int, fence: int, reason_kind: str, reason: str) -> None:
    """End a question without an answer. Raises FencedOff."""
    _own(
        session, prediction_id, fence, state=PredictionState.FAILED, finished_at=db_now(),
        reason_kind=reason_kind, reason=storable(reason), input=b"", lease_expires_at=None,
    )  # fmt: skip


def give_back(
    session: Session, prediction_id: int, fence: int, reason_kind: str, reason: str
) -> None:
    """Let it be tried once more, or end it when that was its last try. Raises FencedOff."""
    if fence >= MOST_TRIES:
        fail(session, prediction_id, fence, reason_kind, reason)
        return
    _own(
        session, prediction_id, fence, state=PredictionState.WAITING, lease_expires_at=None,
        reason_kind=reason_kind, reason=storable(reason),
    )  # fmt: skip


def _own(session: Session, prediction_id: int, fence: int, **values: Any) -> None:
    held = (
        update(Prediction)
        .where(
            Prediction.id == prediction_id,
            Prediction.fence == fence,
            Prediction.state == PredictionState.RUNNING,
        )
        .values(**values)
    )
    if not one_row(session, held):
        raise FencedOff(f"prediction {prediction_id}, fence {fence}")


def end_overdue(session: Session) -> int:
    """End questions past their deadline, and those whose last try's worker fell silent; how many.

    Anybody may call it, and it waits for nobody.
    """
    lost = (
        (Prediction.state == PredictionState.RUNNING)
        & (Prediction.lease_expires_at < db_now())
        & (Prediction.fence >= MOST_TRIES)
    )
    found = session.scalars(
        select(Prediction)
        .where(Prediction.state.in_(OPEN_PREDICTIONS))
        .where(or_(Prediction.deadline_at <= db_now(), lost))
        .order_by(Prediction.id)
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    for prediction in found:
        kind, reason = _why_overdue(session, prediction)
        _end(prediction, kind, reason, session)
    return len(found)


def _why_overdue(session: Session, prediction: Prediction) -> tuple[str, str]:
    limit_s = prediction.deadline_at - prediction.created_at
    before = f" Before: {prediction.reason}" if prediction.reason else ""
    if prediction.state is PredictionState.WAITING:
        why = waits_for(session, prediction)
        return "timeout", f"No worker answered within {limit_s:g} s. {why}{before}"
    if clock.now(session) >= prediction.deadline_at:
        return "timeout", f"It was not answered within {limit_s:g} s.{before}"
    return "lost", f"Its worker fell silent, {MOST_TRIES} times in a row.{before}"


def _end(prediction: Prediction, kind: str, reason: str, session: Session) -> None:
    prediction.state = PredictionState.FAILED
    prediction.finished_at = clock.now(session)
    prediction.reason_kind, prediction.reason = kind, storable(reason)
    prediction.input = b""
    prediction.lease_expires_at = None
    # Whoever still works on it may not answer any more: its state says so.
    session.flush()


def drop_old(session: Session, kept_s: float) -> int:
    """Delete what was asked longer ago than ``kept_s`` seconds; how many."""
    old = select(Prediction.id).where(
        Prediction.created_at < db_now() - kept_s, Prediction.state.not_in(OPEN_PREDICTIONS)
    )
    ids = list(session.scalars(old.limit(1000)))
    if ids:
        session.execute(delete(Prediction).where(Prediction.id.in_(ids)))
    return len(ids)
