"""What pages know of metrics and parameters by their names: which way is better, what to show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from labpool import measures
from labpool.catalog import Catalog
from labpool.measures import Direction

# What a spec says besides its parameters.
_NOT_PARAMETERS = frozenset(
    {
        "kind",
        "name",
        "notes",
        "tags",
        "model",
        "kernel",
        "dataset",
        "time_limit_s",
        "stall_limit_s",
        "priority",
    }
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")


def direction_of(name: str, catalog: Catalog) -> Direction | None:
    """Whether more or less of a metric is better; None where nobody says."""
    boards = {board.metric: board.direction for board in catalog.boards.values()}
    return measures.direction_of(name, boards)


def measure_column(text: str) -> str | None:
    """`text` when it is `metrics.NAME`, `params.NAME` or `params.GROUP.NAME`, else None."""
    room, *path = text.strip().split(".")
    most = {"metrics": 1, "params": 2}.get(room, 0)
    fits = 1 <= len(path) <= most and all(_NAME.fullmatch(part) for part in path)
    return text.strip() if fits else None


def parameters_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved spec's parameters by path: `learning_rate`, `parameters.dropout`."""
    found: dict[str, Any] = {}
    for name, value in spec.items():
        if name in _NOT_PARAMETERS or value is None:
            continue
        if isinstance(value, Mapping):
            found.update((f"{name}.{inner}", nested) for inner, nested in value.items())
        else:
            found[name] = value
    return found


def short_name(path: str) -> str:
    """The last part of a path: `dropout` of `parameters.dropout`."""
    return path.rpartition(".")[2]
