"""More trials for a sweep, also for one that has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import searching
from db.errors import NotPossible
from db.models import Experiment
from db.submissions import refuse_when_full
from labpool import search
from labpool.spec import SPEC, SweepSpec


def add_trials(
    session: Session, experiment: Experiment, more: int, max_trials: int, max_queued: int
) -> int:
    """Let its search make ``more`` trials, those that may wait now at once; how many those are.

    They are the ones that it would have made had it been asked for them at first, and of the same
    code. A search that was stopped goes on. Raises NotPossible, QueueFull.
    """
    session.execute(
        select(Experiment.id).where(Experiment.id == experiment.id).with_for_update(key_share=True)
    )
    session.refresh(experiment)
    longer = _longer(experiment, more)
    comes_to = search.count(longer)
    if comes_to > max_trials:
        raise NotPossible(
            f"it would come to {comes_to} trials, where a sweep may have {max_trials}; add fewer"
        )
    if experiment.search_halt == "paused":
        raise NotPossible(f"it is paused; `labpool resume {experiment.id}` first")
    refuse_when_full(session, experiment.owner_id, more, max_queued)
    experiment.spec = longer.model_dump(mode="json", exclude_unset=True)
    experiment.search_halt = None
    return searching.advance(session, experiment)


def _longer(experiment: Experiment, more: int) -> SweepSpec:
    spec: Mapping[str, Any] = experiment.spec
    strategy = spec.get("strategy", {})
    if "trials" not in strategy:
        raise NotPossible(
            "only a sweep that draws its trials can have more of them, and this is none; "
            "submit another experiment"
        )
    if experiment.made_from is None:
        raise NotPossible("it was submitted before labpool kept what sweeps are made from")
    longer = SPEC.validate_python(
        {**spec, "strategy": {**strategy, "trials": strategy["trials"] + more}}
    )
    assert isinstance(longer, SweepSpec), "nothing else has a strategy"
    return longer
