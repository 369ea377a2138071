"""Leaderboards: verified results of winning attempts, ranked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from db.models import Experiment, Result, Trial, User
from db.states import TrialState
from labpool.catalog import BoardEntry


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One place on a board. ``value`` is in the board's unit; ``seconds`` are slot-seconds."""

    rank: int
    value: float
    trial_id: int
    trial_number: int
    experiment_id: int
    experiment_name: str | None
    user: str
    code_name: str
    data_name: str | None
    varied: Mapping[str, Any]
    spec: Mapping[str, Any]
    metrics: Mapping[str, float]
    device: str
    seconds: float
    finished_at: float
    seed: int
    owner_id: int


def board_rows(
    session: Session, board: BoardEntry, limit: int = 100, owner_id: int | None = None
) -> list[BoardRow]:
    """The best ``limit`` rows. ``owner_id`` restricts them to one user's.

    By the rule ``best`` (or ``last``) a user has one row a configuration, whatever the seeds.
    """
    value = Result.metrics[board.metric].as_float()
    better = value.desc() if board.direction == "maximize" else value.asc()
    first = better if board.rule == "best" else Trial.finished_at.desc()
    place = func.row_number().over(
        partition_by=(Trial.owner_id, Trial.configuration_digest, Trial.code_digest, Result.device),
        order_by=(first, Trial.id),
    )
    candidates = (
        select(Trial.id.label("trial_id"), value.label("value"), place.label("place"))
        .join(Result, Result.trial_id == Trial.id)
        .where(*_eligible(board), value.is_not(None))
    )
    if owner_id is not None:
        candidates = candidates.where(Trial.owner_id == owner_id)
    ranked = candidates.subquery()
    order = ranked.c.value.desc() if board.direction == "maximize" else ranked.c.value.asc()
    statement = (
        select(Trial, Result, Experiment.name, User.name, ranked.c.value)
        .join(ranked, ranked.c.trial_id == Trial.id)
        .join(Result, Result.trial_id == Trial.id)
        .join(Experiment, Experiment.id == Trial.experiment_id)
        .join(User, User.id == Trial.owner_id)
        .order_by(order, Trial.finished_at, Trial.id)
        .limit(limit)
    )
    if board.rule != "all":
        statement = statement.where(ranked.c.place == 1)
    rows: list[BoardRow] = []
    for trial, result, experiment, user, number in session.execute(statement):
        rank = rows[-1].rank if rows and _same(rows[-1].value, number) else len(rows) + 1
        rows.append(_row(rank, float(number), trial, result, experiment, user))
    return rows


def _eligible(board: BoardEntry) -> list[ColumnElement[bool]]:
    conditions = [
        Trial.state == TrialState.SUCCEEDED,
        Trial.kind == board.kind,
        # Invariant I6: the result of the attempt that won, and of no other.
        Result.fence == Trial.fence,
    ]
    if board.kind == "train" and "init_from" not in board.where:
        # Whoever begins with another trial's weights has trained longer than the board tells, and
        # maybe on what is test data here.
        conditions.append(Trial.spec["init_from"].as_string().is_(None))
    for name, wanted in board.where.items():
        if name == "device":
            conditions.append(Result.device == wanted)
        elif isinstance(wanted, list):
            conditions.append(or_(*(_equals(name, one) for one in wanted)))
        elif name == "epochs":
            # Who stopped early did not run the epochs that the board fixes.
            conditions += [_equals(name, wanted), Trial.ended_early.is_(False)]
        else:
            conditions.append(_equals(name, wanted))
    return conditions


def _equals(path: str, wanted: str | float | bool) -> ColumnElement[bool]:
    field: Any = Trial.spec
    for part in path.split("."):
        field = field[part]
    if isinstance(wanted, bool):
        return field.as_boolean().is_(wanted)  # type: ignore[no-any-return]
    if isinstance(wanted, str):
        return field.as_string() == wanted  # type: ignore[no-any-return]
    return field.as_float() == float(wanted)  # type: ignore[no-any-return]


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-12)


def _row(
    rank: int, value: float, trial: Trial, result: Result, experiment: str | None, user: str
) -> BoardRow:
    return BoardRow(
        rank=rank,
        value=value,
        trial_id=trial.id,
        trial_number=trial.number,
        experiment_id=trial.experiment_id,
        experiment_name=experiment,
        user=user,
        code_name=trial.code_name,
        data_name=trial.data_name,
        varied=trial.varied,
        spec=trial.spec,
        metrics=result.metrics,
        device=result.device,
        seconds=result.seconds,
        finished_at=trial.finished_at or result.created_at,
        seed=trial.seed,
        owner_id=trial.owner_id,
    )
