"""What the lists of experiments and of trials have in common: by what they are narrowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, ScalarSelect, Select, select
from sqlalchemy.orm import Session

from db.models import Experiment, Trial, User
from db.reads.documents import has_word
from db.states import TrialState

# Narrowing changes no column of what is read.
Query = TypeVar("Query", bound=Select[*tuple[Any, ...]])


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to list; None asks nothing. `owner_id` narrows to what a viewer may see.

    `tag` and `text` (a part of the name, in small or capital letters) are those of the experiment.
    """

    owner_id: int | None = None
    owner: str | None = None
    kind: str | None = None
    state: str | None = None
    model: str | None = None
    dataset: str | None = None
    tag: str | None = None
    text: str | None = None
    experiment_id: int | None = None


def dialect_of(session: Session) -> str:
    return session.get_bind().dialect.name


def narrow_trials(session: Session, query: Query, wanted: Wanted) -> Query:
    """`query`, which reads `Trial`, for the wanted ones only."""
    if wanted.experiment_id is not None:
        query = query.where(Trial.experiment_id == wanted.experiment_id)
    if wanted.owner_id is not None:
        query = query.where(Trial.owner_id == wanted.owner_id)
    if wanted.owner is not None:
        query = query.where(Trial.owner_id == user_id_of(wanted.owner))
    if wanted.kind is not None:
        query = query.where(Trial.kind == wanted.kind)
    query = query.where(*of_trial(wanted))
    described = _described(dialect_of(session), wanted)
    if described:
        query = query.where(Trial.experiment_id.in_(select(Experiment.id).where(*described)))
    return query


def narrow_experiments(session: Session, query: Query, wanted: Wanted) -> Query:
    """`query`, which reads `Experiment`, for the wanted ones only; some trial must be as asked."""
    if wanted.experiment_id is not None:
        query = query.where(Experiment.id == wanted.experiment_id)
    if wanted.owner_id is not None:
        query = query.where(Experiment.owner_id == wanted.owner_id)
    if wanted.owner is not None:
        query = query.where(Experiment.owner_id == user_id_of(wanted.owner))
    if wanted.kind is not None:
        query = query.where(Experiment.kind == wanted.kind)
    if of_trial(wanted):
        inside = select(Trial.id).where(Trial.experiment_id == Experiment.id, *of_trial(wanted))
        query = query.where(inside.exists())
    return query.where(*_described(dialect_of(session), wanted))


def user_id_of(name: str) -> ScalarSelect[int]:
    return select(User.id).where(User.name == name).scalar_subquery()


def of_trial(wanted: Wanted) -> list[ColumnElement[bool]]:
    """What a trial must be by itself."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.state is not None:
        conditions.append(Trial.state == TrialState(wanted.state))
    if wanted.model is not None:
        conditions.append(Trial.code_name == wanted.model)
    if wanted.dataset is not None:
        conditions.append(Trial.data_name == wanted.dataset)
    return conditions


def _described(dialect: str, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.tag is not None:
        conditions.append(has_word(dialect, Experiment.tags, wanted.tag))
    if wanted.text is not None:
        conditions.append(Experiment.name.icontains(wanted.text, autoescape=True))
    return conditions
