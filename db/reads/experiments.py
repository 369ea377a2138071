"""Experiments with the states of their trials counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from db.models import Experiment, Trial, User
from db.reads.listing import Wanted, narrow_experiments
from db.states import TERMINAL, TrialState, Wish


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    """One submission. `counts` maps a trial state to how many of its trials are in it.

    `asked` counts what people asked of those: held, pausing, stopping, cancelling. `rungs` counts
    the trials of a searched sweep by their rung; `search_halt` is what its owner did with it.
    """

    id: int
    name: str | None
    kind: str
    owner_id: int
    owner: str
    notes: str
    tags: tuple[str, ...]
    spec: Mapping[str, Any]
    created_at: float
    counts: Mapping[str, int] = field(default_factory=dict)
    asked: Mapping[str, int] = field(default_factory=dict)
    search_halt: str | None = None
    rungs: Mapping[int, int] = field(default_factory=dict)

    @property
    def trial_count(self) -> int:
        return sum(self.counts.values())

    @property
    def finished_count(self) -> int:
        return sum(self.counts.get(state.value, 0) for state in TERMINAL)

    @property
    def finished(self) -> bool:
        return self.finished_count == self.trial_count


def experiments_page(
    session: Session, wanted: Wanted, before_id: int | None, limit: int
) -> list[ExperimentRow]:
    """At most `limit` experiments, newest first, all with ids below `before_id`."""
    query = narrow_experiments(session, _experiments(), wanted)
    query = query.order_by(Experiment.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(Experiment.id < before_id)
    return _rows(session, query)


def experiment_row(session: Session, experiment_id: int) -> ExperimentRow | None:
    rows = _rows(session, _experiments().where(Experiment.id == experiment_id))
    return rows[0] if rows else None


def rows_of(session: Session, ids: Sequence[int]) -> dict[int, ExperimentRow]:
    """The experiments of these ids."""
    rows = _rows(session, _experiments().where(Experiment.id.in_(ids)))
    return {row.id: row for row in rows}


def _experiments() -> Select[Experiment, str]:
    return select(Experiment, User.name).join(User, User.id == Experiment.owner_id)


def _rows(session: Session, query: Select[Experiment, str]) -> list[ExperimentRow]:
    found = session.execute(query).all()
    ids = [experiment.id for experiment, _ in found]
    (counts, rungs), asked = _counts(session, ids), _asked(session, ids)
    return [
        ExperimentRow(
            id=experiment.id,
            name=experiment.name,
            kind=experiment.kind,
            owner_id=experiment.owner_id,
            owner=owner,
            notes=experiment.notes,
            tags=tuple(experiment.tags),
            spec=experiment.spec,
            created_at=experiment.created_at,
            counts=counts.get(experiment.id, {}),
            asked=asked.get(experiment.id, {}),
            search_halt=experiment.search_halt,
            rungs=rungs.get(experiment.id, {}),
        )
        for experiment, owner in found
    ]


Counts = dict[int, dict[str, int]]
Rungs = dict[int, dict[int, int]]


def _counts(session: Session, ids: Sequence[int]) -> tuple[Counts, Rungs]:
    """How many trials of each experiment are in each state, and at each rung."""
    counts: Counts = {}
    rungs: Rungs = {}
    if not ids:
        return counts, rungs
    query = (
        select(Trial.experiment_id, Trial.state, Trial.rung, func.count())
        .where(Trial.experiment_id.in_(ids))
        .group_by(Trial.experiment_id, Trial.state, Trial.rung)
    )
    for experiment_id, state, rung, count in session.execute(query):
        in_state = counts.setdefault(experiment_id, {})
        in_state[state.value] = in_state.get(state.value, 0) + count
        if rung is not None:
            at_rung = rungs.setdefault(experiment_id, {})
            at_rung[rung] = at_rung.get(rung, 0) + count
    return counts, rungs


def _asked(session: Session, ids: Sequence[int]) -> dict[int, dict[str, int]]:
    if not ids:
        return {}
    query = (
        select(Trial.experiment_id, Trial.held, Trial.wish, Trial.cancel_requested, func.count())
        .where(
            Trial.experiment_id.in_(ids),
            Trial.state.in_([TrialState.QUEUED, TrialState.RUNNING, TrialState.PAUSED]),
            Trial.held | Trial.wish.is_not(None) | Trial.cancel_requested,
        )
        .group_by(Trial.experiment_id, Trial.held, Trial.wish, Trial.cancel_requested)
    )
    asked: dict[int, dict[str, int]] = {}
    for experiment_id, held, wish, cancelled, count in session.execute(query):
        word = _asked_word(held, wish, cancelled)
        of_one = asked.setdefault(experiment_id, {})
        of_one[word] = of_one.get(word, 0) + count
    return asked


def _asked_word(held: bool, wish: Wish | None, cancelled: bool) -> str:
    if held:
        return "held"
    if cancelled:
        return "cancelling"
    return {Wish.PAUSE: "pausing", Wish.PRUNE: "being pruned"}.get(wish or Wish.STOP, "stopping")
