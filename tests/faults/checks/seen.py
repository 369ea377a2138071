"""What there is to judge by: the tables of the database, and what was noted outside of it.

Nothing of labpool is imported here or by any check: a mistake in the code that writes must not be
repeated by the code that looks.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Row = dict[str, Any]

TABLES = (
    "users", "experiments", "idempotency_keys", "trials", "attempts", "workers", "slots", "leases",
    "events", "results", "checkpoints", "artifacts", "metric_chunks", "quarantines",
    "sweep_reports",
)  # fmt: skip
JSON_COLUMNS = frozenset(
    {"spec", "data", "steps", "epochs", "values", "metrics", "summary", "environment", "kinds"}
)
TERMINAL = frozenset({"succeeded", "failed", "cancelled", "lost", "pruned"})
LEDGERS = ("acknowledged", "asked", "kept", "ran", "faults")


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not be; ``invariant`` is its number in the list of promises."""

    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


@dataclass
class Seen:
    """All tables at one moment, and the ledgers that people, runners and faults have written.

    ``acknowledged``: a line for each answer to a submission. ``asked``: for each answer to a wish.
    ``kept``: for each to an administrator. ``ran``: what each runner did. ``faults``: what was done
    to processes and devices. ``store`` is the folder with the artifacts; None leaves the files
    unread. ``exact_order``: the order of the events' ids is that of the commits, as with SQLite.
    """

    tables: Mapping[str, list[Row]]
    acknowledged: list[Row] = field(default_factory=list)
    asked: list[Row] = field(default_factory=list)
    kept: list[Row] = field(default_factory=list)
    ran: list[Row] = field(default_factory=list)
    faults: list[Row] = field(default_factory=list)
    store: Path | None = None
    exact_order: bool = True
    max_losses: int = 3
    lease_ttl_s: float = 90.0
    ageing_turn: int = 4
    ageing_s: float = 24 * 3600.0

    def __getitem__(self, table: str) -> list[Row]:
        return self.tables[table]

    @cached_property
    def trials(self) -> dict[int, Row]:
        """Every trial by its id."""
        return {trial["id"]: trial for trial in self["trials"]}

    @cached_property
    def events(self) -> dict[int, list[Row]]:
        """The events of every trial, in order."""
        return _grouped(sorted(self["events"], key=lambda event: event["id"]), "trial_id")

    @cached_property
    def attempts(self) -> dict[int, list[Row]]:
        """The attempts of every trial, in the order of their fences."""
        return _grouped(sorted(self["attempts"], key=lambda one: one["fence"]), "trial_id")

    @cached_property
    def attempt(self) -> dict[tuple[int, int], Row]:
        """An attempt by its trial and fence."""
        return {(one["trial_id"], one["fence"]): one for one in self["attempts"]}

    @cached_property
    def leases(self) -> dict[int, Row]:
        """Every lease by its id."""
        return {lease["id"]: lease for lease in self["leases"]}

    @cached_property
    def slots(self) -> dict[int, Row]:
        """Every slot by its id."""
        return {slot["id"]: slot for slot in self["slots"]}

    def of_trial(self, table: str) -> dict[int, list[Row]]:
        """The rows of a table by the trial they belong to, in the order of their ids."""
        rows = self[table]
        ordered = sorted(rows, key=lambda row: row["id"]) if rows and "id" in rows[0] else rows
        return _grouped(ordered, "trial_id")


Check = Callable[[Seen], Iterator[Violation]]


def _grouped(rows: list[Row], by: str) -> dict[int, list[Row]]:
    groups: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if row[by] is not None:
            groups[row[by]].append(row)
    return groups


def read_tables(url: str, names: Sequence[str] = TABLES) -> dict[str, list[Row]]:
    """Tables as they stood at one moment. ``url`` is a ``sqlite:///`` or ``postgresql`` one."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        with closing(sqlite3.connect(parts.path[1:], isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            return {
                name: [
                    _plain(dict(row))
                    for row in connection.execute(f"SELECT * FROM {name}")  # noqa: S608
                ]
                for name in names
            }
    import psycopg
    from psycopg.rows import dict_row

    plain_url = url.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(plain_url, row_factory=dict_row, connect_timeout=5) as postgres:
        postgres.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return {
            name: [_plain(row) for row in postgres.execute(f"SELECT * FROM {name}").fetchall()]  # noqa: S608
            for name in names
        }


def read_ledger(path: Path) -> list[Row]:
    """The lines of a ledger; none when nothing was ever written."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read(url: str, ledgers: Path, store: Path | None, **settings: Any) -> Seen:
    """Everything, of a pool that may be at work: the ledgers may be a little ahead."""
    tables = read_tables(url)
    noted: dict[str, Any] = {name: read_ledger(ledgers / f"{name}.jsonl") for name in LEDGERS}
    exact = url.startswith("sqlite")
    return Seen(tables=tables, store=store, exact_order=exact, **noted, **settings)


def _plain(row: Row) -> Row:
    return {
        name: json.loads(value) if name in JSON_COLUMNS and isinstance(value, str) else value
        for name, value in row.items()
    }
