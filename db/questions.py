"""Questions to trained models, as they are asked: within limits of each user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from db import clock
from db.checkpoints import best_point
from db.errors import NotPossible, TooManyQuestions
from db.models import Prediction, Trial, User
from db.states import OPEN_PREDICTIONS, PredictionState

# Answers that a user keeps at most, whatever their age.
MOST_KEPT = 100
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """``limit_s`` bounds the time from a question to its end; the counts are a user's."""

    limit_s: float
    most_open: int
    most_a_minute: int


def ask(
    session: Session,
    trial: Trial,
    user_id: int,
    form: str,
    data: bytes,
    options: Mapping[str, Any],
    limits: Limits,
) -> Prediction:
    """Store a question to ``trial``'s best checkpoint.

    Raises NotPossible when there is none, TooManyQuestions beyond the user's limits.
    """
    _require_checkpoint(session, trial)
    # Locked, or a user's simultaneous questions would each be counted without the others.
    session.get_one(User, user_id, with_for_update=True)
    now = clock.now(session)
    _refuse_too_many(session, user_id, now, limits)
    _drop_oldest(session, user_id)
    prediction = Prediction(
        trial_id=trial.id,
        asked_by_id=user_id,
        state=PredictionState.WAITING,
        form=form,
        input=data,
        options=dict(options),
        created_at=now,
        deadline_at=now + limits.limit_s,
        fence=0,
        about={},
    )
    session.add(prediction)
    session.flush()
    return prediction


def _require_checkpoint(session: Session, trial: Trial) -> None:
    if trial.kind != "train":
        raise NotPossible(f"trial {trial.id} is a benchmark; only what was trained can predict")
    if best_point(session, trial.id) is None:
        raise NotPossible(
            f"trial {trial.id} ({trial.state.value}) has no best checkpoint to predict with; a "
            "trial has one once its first validation is saved"
        )


def _refuse_too_many(session: Session, user_id: int, now: float, limits: Limits) -> None:
    mine = select(func.count()).select_from(Prediction).where(Prediction.asked_by_id == user_id)
    still = mine.where(Prediction.state.in_(OPEN_PREDICTIONS), Prediction.deadline_at > now)
    if (session.scalar(still) or 0) >= limits.most_open:
        raise TooManyQuestions(
            f"{limits.most_open} of your predictions are not answered yet; wait for one of them."
        )
    lately = mine.where(Prediction.created_at > now - _MINUTE_S)
    if (session.scalar(lately) or 0) >= limits.most_a_minute:
        raise TooManyQuestions(
            f"{limits.most_a_minute} in a minute are the most; send many examples as one file."
        )


def _drop_oldest(session: Session, user_id: int) -> None:
    ended = (
        select(Prediction.id)
        .where(Prediction.asked_by_id == user_id, Prediction.state.not_in(OPEN_PREDICTIONS))
        .order_by(Prediction.id.desc())
        .offset(MOST_KEPT - 1)
    )
    old = list(session.scalars(ended))
    if old:
        session.execute(delete(Prediction).where(Prediction.id.in_(old)))
