"""What the owner of several trials writes in one transaction, each under its own fence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from sqlalchemy.orm import Session

from db import searching
from db.errors import FencedOff

T = TypeVar("T")


def jointly(
    session: Session, works: Mapping[int, Callable[[], T]]
) -> tuple[dict[int, T], dict[int, FencedOff]]:
    """Do the work of each trial, by id: what came of it, and who turned out not to own its trial.

    What the latter had written is undone, and nothing else. Any other error undoes all.
    """
    if len(works) > 1:
        # All sweeps before all trials, and these by their ids, as everybody locks them.
        searching.lock_sweeps_of(session, list(works))
    done: dict[int, T] = {}
    lost: dict[int, FencedOff] = {}
    for trial_id in sorted(works):
        try:
            with session.begin_nested():
                done[trial_id] = works[trial_id]()
        except FencedOff as error:
            lost[trial_id] = error
    return done, lost
