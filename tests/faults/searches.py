"""Whether every search has done what there was to do: asked of the rows alone, all over again."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Experiment, Trial
from db.searching.rows import rows_of, sweep_spec
from labpool import search


def left_undone(session: Session) -> Iterator[str]:
    """What a search would do now and has not done, a sentence each; none is right."""
    searched = select(Trial.experiment_id).where(Trial.rung.is_not(None)).distinct()
    for sweep in session.scalars(select(Experiment).where(Experiment.id.in_(searched))):
        if sweep.search_halt is not None:
            continue
        for action in open_actions(session, sweep):
            yield f"sweep {sweep.id} leaves undone: {action}"


def open_actions(session: Session, sweep: Experiment) -> list[search.Action]:
    """What its search wants done that could be done."""
    spec = sweep_spec(sweep)
    mine = select(Trial).where(Trial.experiment_id == sweep.id)
    trials = {row.id: row for row in session.scalars(mine)}
    return [
        action
        for action in search.advance(spec, rows_of(session, sweep, spec))
        # What was asked of a running trial is done at its slot's next heartbeat.
        if isinstance(action, search.Create) or trials[action.trial_id].wish is None
    ]
