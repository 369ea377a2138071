"""Leaderboards: verified results of winning attempts, ranked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from db.clock import db_now
from db.models import Attempt, Experiment, Result, Trial, User
from db.standing_rows import Candidate, Ranked, ranked
from db.states import TrialState
from labpool.boards import PointField
from labpool.catalog import BoardEntry
from labpool.own_source import own_source
from labpool.ranking import Band
from labpool.spread import Spread

_DAY_S = 24 * 3600.0
_DEVICE_NAME = (Attempt.environment["device_name"].as_string(),)
_is_winning = and_(Attempt.trial_id == Trial.id, Attempt.fence == Result.fence)
# What of a spec is a column of its own, which is read in a tenth of the time.
_COLUMNS = {"dataset": Trial.data_name, "model": Trial.code_name, "kernel": Trial.code_name}


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One place on a board: the runs of one configuration that differ in their seed alone.

    ``value`` is their mean in the board's unit, ``rank`` its place, ``band`` the places that it may
    have (None where the board knows no spread). ``trial_id`` and what follows from it is the run
    that stands for the row: the best one, by the rule ``last`` the newest. ``seconds`` are the
    slot-seconds charged for all its runs, attempts that failed on the way included, trials that
    never succeeded not; ``train_seconds`` the training in them (None for benchmarks). ``tried`` are
    the configurations that it is the best of, on a board of points; ``device_name`` is what its
    device is called there, None on other boards.
    """

    rank: int
    value: float
    spread: Spread
    band: Band | None
    seeds: tuple[int, ...]
    trial_ids: tuple[int, ...]
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
    train_seconds: float | None
    finished_at: float
    seed: int
    owner_id: int
    tried: int = 1
    device_name: str | None = None

    @property
    def own_source(self) -> bool:
        """Whether it ran its user's own source in place of the catalog's."""
        return own_source(self.spec) is not None


def board_rows(
    session: Session, board: BoardEntry, limit: int = 100, owner_id: int | None = None
) -> list[BoardRow]:
    """The best ``limit`` rows; the others count in their bands. ``owner_id``: only this user's.

    Two statements, whatever there is to rank.
    """
    candidates = _candidates(session, board, owner_id)
    rows = ranked(candidates, board.rule, board.direction, limit)
    ids = [row.shown.trial_id for row in rows]
    found = {
        trial.id: (trial, result, experiment, user, *point)
        for trial, result, experiment, user, *point in session.execute(
            select(Trial, Result, Experiment.name, User.name, *_DEVICE_NAME[: bool(board.per)])
            .join(Result, Result.trial_id == Trial.id)
            .outerjoin(Attempt, _is_winning)
            .join(Experiment, Experiment.id == Trial.experiment_id)
            .join(User, User.id == Trial.owner_id)
            .where(Trial.id.in_(ids))
        )
    }
    return [_row(row, *found[row.shown.trial_id]) for row in rows]


def _candidates(session: Session, board: BoardEntry, owner_id: int | None) -> Sequence[Candidate]:
    value = Result.metrics[board.metric].as_float()
    query = (
        select(
            Trial.id, value, Trial.seed, Trial.owner_id, Trial.configuration_digest,
            Trial.code_digest, Trial.data_digest, Result.device, Trial.finished_at,
            Result.seconds, Result.metrics["train_seconds"].as_float(),
        )
        .join(Result, Result.trial_id == Trial.id)
        .where(*_eligible(board), value.is_not(None))
    )  # fmt: skip
    if owner_id is not None:
        query = query.where(Trial.owner_id == owner_id)
    if not board.per:
        return [Candidate(*found) for found in session.execute(query)]
    # A kernel of a user's own has rows of its own: it is none of the catalog's variants.
    point = [Trial.spec["source"].as_string(), *map(_field, board.per)]
    query = query.add_columns(*point).outerjoin(Attempt, _is_winning)
    plain = len(Candidate._fields) - 1
    return [_at_its_point(found[:plain], found[plain:]) for found in session.execute(query)]


def _at_its_point(known: Sequence[Any], point: Sequence[Any]) -> Candidate:
    result = Candidate(*known)
    # Another source, or another kind of device, is nothing that could be chosen instead.
    whole = [*point, result.code_digest, result.data_digest, result.device]
    return result._replace(point=json.dumps(whole, sort_keys=True))


def _field(name: PointField) -> ColumnElement[Any]:
    return _DEVICE_NAME[0] if name == "device_name" else Trial.spec[name]


def _eligible(board: BoardEntry) -> list[ColumnElement[bool]]:
    conditions = [
        Trial.state == TrialState.SUCCEEDED,
        Trial.kind == board.kind,
        # Invariant I6: the result of the attempt that won, and of no other.
        Result.fence == Trial.fence,
        *_in_window(board),
    ]
    if board.kind == "train" and "init_from" not in board.where:
        # Whoever begins with another trial's weights has trained longer than the board tells, and
        # maybe on what is test data here.
        conditions.append(Trial.spec["init_from"].as_string().is_(None))
    if board.device is not None:
        conditions.append(Result.device == board.device)
    for name, wanted in board.where.items():
        if name == "device":
            conditions.append(Result.device == wanted)
        elif isinstance(wanted, list):
            conditions.append(or_(*(_equals(name, one) for one in wanted)))
        elif name in _COLUMNS:
            conditions.append(_COLUMNS[name] == str(wanted))
        elif name == "epochs":
            # Who stopped early did not run the epochs that the board fixes.
            conditions += [_equals(name, wanted), Trial.ended_early.is_(False)]
        else:
            conditions.append(_equals(name, wanted))
    return conditions


def _in_window(board: BoardEntry) -> list[ColumnElement[bool]]:
    window = board.window
    conditions: list[ColumnElement[bool]] = []
    if window.from_s is not None:
        conditions.append(Trial.finished_at >= window.from_s)
    if window.before_s is not None:
        conditions.append(Trial.finished_at < window.before_s)
    if window.days is not None:
        conditions.append(Trial.finished_at >= db_now() - window.days * _DAY_S)
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


def _row(
    row: Ranked,
    trial: Trial,
    result: Result,
    experiment: str | None,
    user: str,
    device_name: str | None = None,
) -> BoardRow:
    return BoardRow(
        rank=row.place,
        value=row.spread.mean,
        spread=row.spread,
        band=row.band,
        seeds=row.seeds,
        trial_ids=row.trial_ids,
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
        seconds=row.seconds,
        train_seconds=row.train_seconds,
        finished_at=trial.finished_at or result.created_at,
        seed=trial.seed,
        owner_id=trial.owner_id,
        tried=row.tried,
        device_name=device_name,
    )
