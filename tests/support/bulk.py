"""Many rows at once, and the statements that reading them takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, insert, text

from db.engine import Database
from db.models import Experiment, Result, Trial, User

PEOPLE = ("ann", "ben", "cleo")
MODELS = ("keras_cnn", "lenet5", "mlp")
STATES = ("succeeded", "succeeded", "succeeded", "failed", "queued")
Statement = tuple[str, Any]


def many_trials(database: Database, experiments: int, each: int) -> None:
    """`experiments` of three people with `each` trials: ties, gaps and mixed types among them."""
    with database.transaction() as session:
        people = [
            {"id": number, "name": name, "role": "member", "share": 1.0, "created_at": 0.0}
            for number, name in enumerate(PEOPLE, 1)
        ]
        session.execute(insert(User), people)
        session.execute(insert(Experiment), [_experiment(row) for row in range(1, experiments + 1)])
        trials = [_trial(row, (row - 1) // each + 1) for row in range(1, experiments * each + 1)]
        session.execute(insert(Trial), trials)
        results = [_result(trial) for trial in trials if trial["state"] == "succeeded"]
        session.execute(insert(Result), results)
    if database.dialect == "postgresql":
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))


def _experiment(row: int) -> dict[str, Any]:
    return {
        "id": row,
        "owner_id": 1 + row % 3,
        "kind": "sweep" if row % 2 else "train",
        "name": None if row % 5 == 0 else f"run {row % 7:03d}",
        "notes": "",
        "tags": ["keep", f"t{row % 4}"] if row % 3 == 0 else [],
        "spec": {"base": {"kind": "train", "model": "mlp", "dataset": "digits"}},
        "created_at": float(row),
    }


def _trial(row: int, experiment: int) -> dict[str, Any]:
    model = MODELS[experiment % 3]
    state = STATES[row % 5]
    # A number, a word, a list, a truth value, or nothing at all.
    odd: Any = (row % 4 / 10, "auto", [row % 3], True, None)[row % 5]
    return {
        "id": row,
        "experiment_id": experiment,
        "number": row,
        "owner_id": 1 + experiment % 3,
        "kind": "train",
        "spec": {
            "kind": "train",
            "model": model,
            "learning_rate": (row % 6 + 1) / 1000,
            "parameters": {} if odd is None else {"odd": odd},
        },
        "varied": {},
        "device": "any",
        "seed": row % 4,
        "code_name": model,
        "code_digest": "c" * 64,
        "data_name": None if model == "mlp" else "digits",
        "data_digest": None,
        "configuration_digest": f"{row:064d}",
        "state": state,
        "fence": 0 if state == "queued" else 1,
        "queued_at": float(row),
        "finished_at": None if state == "queued" else row * 7 % 100 + 0.5,
        "progress_done": float(row % 9),
        "progress_total": None if row % 8 == 0 else 10.0,
    }


def _result(trial: dict[str, Any]) -> dict[str, Any]:
    row = int(trial["id"])
    metrics = {"test_accuracy": row * 31 % 97 / 97} if row % 7 else {"test_loss": 0.5}
    return {
        "trial_id": row,
        "fence": 1,
        "metrics": metrics,
        "summary": {"weights_sha256": "0" * 64},
        "device": "gpu" if row % 2 else "cpu",
        "seconds": row * 13 % 50 + 0.25,
        "created_at": float(row),
    }


@contextmanager
def statements(database: Database) -> Iterator[list[Statement]]:
    """What is asked of the database meanwhile: each SELECT with its values."""
    seen: list[Statement] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            seen.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def read_whole(database: Database, statement: Statement, table: str) -> list[str]:
    """The steps of the statement's plan that go through all of `table` or sort what they found."""
    words, parameters = statement
    with database.engine.connect() as connection:
        if database.dialect == "postgresql":
            found = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {words}", parameters)
            plan = found.scalar_one()
            nodes = json.loads(plan) if isinstance(plan, str) else plan
            return [
                step for step in _steps(nodes[0]["Plan"]) if step in (f"Seq Scan {table}", "Sort")
            ]
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {words}", parameters).all()
    details = [str(row[3]) for row in rows]
    return [
        detail
        for detail in details
        if detail == f"SCAN {table}" or detail.startswith("USE TEMP B-TREE FOR ORDER BY")
    ]


def _steps(node: dict[str, Any]) -> Iterator[str]:
    name = node["Node Type"]
    yield f"{name} {node['Relation Name']}" if name == "Seq Scan" else name
    for inner in node.get("Plans", []):
        yield from _steps(inner)
