"""The boards: all of them with their leaders, and one in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response

from api.context import services
from api.pages.frame import page
from api.pages.sorting import Key, Sorting
from api.problems import not_found
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id
from db.boards import BoardRow, board_rows
from labpool.catalog import BoardEntry, Catalog

pages = Blueprint("board_pages", __name__)

_LEADERS = 3
_ROWS = 200
_RULES = {
    "best": "each person's best of a configuration counts",
    "last": "each person's newest of a configuration counts",
    "all": "every result counts",
}
_COLUMNS: Mapping[str, Key] = {
    "rank": lambda row: row.rank,
    "user": lambda row: row.user,
    "value": lambda row: row.value,
    "model": lambda row: row.code_name,
    "device": lambda row: row.device,
    "seconds": lambda row: row.seconds,
    "when": lambda row: row.finished_at,
}
# What a configuration need not repeat: the board's own columns, and what changes no result.
_NOT_SHOWN = frozenset(
    {
        "kind", "name", "notes", "tags", "device", "model", "kernel", "dataset",
        "time_limit_s", "stall_limit_s", "checkpoint_every_epochs",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Card:
    """A board and its leaders."""

    entry: BoardEntry
    rows: list[BoardRow]


@pages.get("/")
@allow("member")
def show_boards() -> Response:
    owner_id = narrowed_owner_id(me())
    with services().database.snapshot() as session:
        cards = [
            Card(entry, board_rows(session, entry, _LEADERS, owner_id))
            for entry in services().catalog.boards.values()
        ]
    return page(
        "boards.html",
        section="Boards",
        title="Boards",
        cards=cards,
        any_rows=any(card.rows for card in cards),
    )


@pages.get("/boards/<name>")
@allow("member")
def show_board(name: str) -> Response:
    catalog = services().catalog
    entry = catalog.boards.get(name)
    if entry is None:
        raise not_found("board")
    with services().database.snapshot() as session:
        rows = board_rows(session, entry, _ROWS, narrowed_owner_id(me()))
    sorting = Sorting.from_request(_COLUMNS, "rank")
    common, differing = split_configurations(rows)
    return page(
        "board.html",
        section="Boards",
        title=entry.title,
        entry=entry,
        rows=sorting.apply(rows, _COLUMNS),
        sorting=sorting,
        common=common,
        differing=differing,
        rule_text=_RULES[entry.rule],
        kind_word="Model" if entry.kind == "train" else "Kernel",
        command=example_command(entry, catalog),
    )


def split_configurations(
    rows: Sequence[BoardRow],
) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """What all rows have in common, and by trial id what sets each apart.

    A single row has nothing to be compared with and shows all of its own.
    """
    flat = {row.trial_id: configuration(row) for row in rows}
    if len(rows) < 2:
        return {}, flat
    first = flat[rows[0].trial_id]
    common = {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in flat.values())
    }
    differing = {
        trial_id: {name: value for name, value in values.items() if name not in common}
        for trial_id, values in flat.items()
    }
    return common, differing


def configuration(row: BoardRow) -> dict[str, Any]:
    """What a reader wants to see of a row's spec: what was varied first, then the rest, flat."""
    flat: dict[str, Any] = {}
    for name, value in row.spec.items():
        if isinstance(value, Mapping):
            flat.update(value)
        elif name not in _NOT_SHOWN and value is not None:
            flat[name] = value
    first = {name.rpartition(".")[2]: value for name, value in row.varied.items()}
    return {**first, **{name: value for name, value in flat.items() if name not in first}}


def example_command(entry: BoardEntry, catalog: Catalog) -> str:
    """A command whose result would stand on this board."""
    room = "models" if entry.kind == "train" else "kernels"
    names = list(catalog.models if entry.kind == "train" else catalog.kernels)
    preferred = entry.where.get("model") or entry.where.get("kernel")
    fitting = [name for name in names if name in (preferred, "lenet5", "mlp")] or names or ["NAME"]
    name = preferred if preferred in names else fitting[0]
    if entry.where.get("dataset") == "spirals" and "mlp" in names:
        name = "mlp"
    return f"labpool submit catalog/{room}/{name}/example.yaml"
