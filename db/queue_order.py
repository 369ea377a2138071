"""The queue in the order in which free slots would take it."""

from __future__ import annotations

from sqlalchemy import Subquery, and_, case, func, select

from db.claims import due
from db.models import Trial
from db.states import TrialState


def queue_places() -> Subquery:
    """`trial_id`, `owner_id`, `due` (1 or 0) and `place`, from 1, of every waiting trial.

    The same order as `db.claims`, told ahead: within a priority the user with the fewest running
    trials is next, and whoever got a slot has one more running. So the n-th trial of a user comes
    when n - 1 more of theirs run. What may not run yet stands at the end. A slot passes over what
    it cannot serve, and trials that end or come in between change the order.
    """
    running = (
        select(Trial.owner_id, func.count().label("count"))
        .where(Trial.state == TrialState.RUNNING)
        .group_by(Trial.owner_id)
        .subquery("running")
    )
    is_due = case((and_(*due()), 1), else_=0).label("due")
    nth = func.row_number().over(
        partition_by=(Trial.owner_id, is_due), order_by=(Trial.priority.desc(), Trial.id)
    )
    waiting = (
        select(
            Trial.id,
            Trial.owner_id,
            Trial.priority,
            is_due,
            (func.coalesce(running.c.count, 0) + nth).label("turn"),
        )
        .outerjoin(running, running.c.owner_id == Trial.owner_id)
        .where(Trial.state == TrialState.QUEUED)
        .subquery("waiting")
    )
    order = (waiting.c.due.desc(), waiting.c.priority.desc(), waiting.c.turn, waiting.c.id)
    return select(
        waiting.c.id.label("trial_id"),
        waiting.c.owner_id,
        waiting.c.due,
        func.row_number().over(order_by=order).label("place"),
    ).subquery("places")
