"""A board as CSV: a line a row, then its baselines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime

from db.boards import BoardRow
from labpool.catalog import BoardEntry

COLUMNS = (
    "rank", "first", "last", "user", "value", "half_width", "seeds", "model", "dataset", "device",
    "slot_seconds", "train_seconds", "finished_at", "trial_id", "experiment_id", "experiment",
    "varied", "baseline", "source", "own_source",
)  # fmt: skip
# What a table program would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def board_csv(entry: BoardEntry, rows: Iterable[BoardRow]) -> str:
    """The text, its first line the names of ``COLUMNS``. What is not known is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _safe(value) for name, value in _line(row).items()})
    for baseline in entry.baselines:
        line = {"baseline": baseline.name, "value": baseline.value, "source": baseline.source}
        writer.writerow({name: _safe(value) for name, value in line.items()})
    return text.getvalue()


def _line(row: BoardRow) -> dict[str, object]:
    return {
        "rank": row.rank,
        "first": row.band.first if row.band else None,
        "last": row.band.last if row.band else None,
        "user": row.user,
        "value": row.value,
        "half_width": row.spread.half_width,
        "seeds": row.spread.n,
        "model": row.code_name,
        "dataset": row.data_name,
        "device": row.device,
        "slot_seconds": row.seconds,
        "train_seconds": row.train_seconds,
        "finished_at": datetime.fromtimestamp(row.finished_at, UTC).isoformat("T", "seconds"),
        "trial_id": row.trial_id,
        "experiment_id": row.experiment_id,
        "experiment": row.experiment_name,
        "varied": json.dumps(_varied(row), sort_keys=True),
        "own_source": "yes" if row.own_source else None,
    }


def _varied(row: BoardRow) -> dict[str, object]:
    """Of a row of several seeds not the one of the run that stands for it."""
    one = row.spread.n == 1
    return {name: value for name, value in row.varied.items() if one or name != "seed"}


def _safe(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
