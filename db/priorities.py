"""Priority classes: words in specs and answers, numbers in the order of the queue."""

from __future__ import annotations

from sqlalchemy import CursorResult, update
from sqlalchemy.orm import Session

from db.errors import NotAllowed, NotPossible
from db.events import record
from db.models import Trial, User
from db.states import Role, TrialState
from labpool.spec import Priority

NORMAL: Priority = "normal"
CLASSES: dict[Priority, int] = {"low": -1, "normal": 0, "high": 1}
_WORDS = {number: word for word, number in CLASSES.items()}


def priority_word(number: int) -> Priority:
    """What people call it."""
    return _WORDS.get(number, NORMAL)


def set_priority(session: Session, trial: Trial, priority: Priority, by: User) -> None:
    """Give a trial that waits another class.

    Raises NotAllowed when a member wants it high, NotPossible when the trial does not wait.
    """
    if priority == "high" and by.role is not Role.ADMIN:
        raise NotAllowed("high is for administrators")
    result = session.execute(
        update(Trial)
        .where(Trial.id == trial.id, Trial.state.in_((TrialState.QUEUED, TrialState.PAUSED)))
        .values(priority=CLASSES[priority])
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    session.refresh(trial)
    if result.rowcount != 1:
        raise NotPossible(f"trial {trial.id} is {trial.state} and does not wait")
    record(
        session, "prioritised", trial, actor=f"user {by.name}", fence=trial.fence,
        data={"priority": priority},
    )  # fmt: skip
