"""The boards: all of them with their leaders, and one in full."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint, Response
from markupsafe import Markup
from sqlalchemy.orm import Session

from api.charts.colours import look_of
from api.charts.sparkline import sparkline
from api.context import services
from api.pages.board_lines import (
    cost_chart,
    lines_of,
    place_text,
    place_title,
    seeds_text,
    value_texts,
)
from api.pages.filters import words
from api.pages.frame import page
from api.pages.points import spread_text
from api.pages.sorting import Key, Sorting
from api.problems import not_found
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id
from db.boards import BoardRow, board_rows
from db.reads.curve_sets import curves_of_many
from labpool.catalog import BoardEntry, Catalog

pages = Blueprint("board_pages", __name__)

_LEADERS = 3
_ROWS = 200
_CHIPS = 4
_RULES = {
    "best": "a person's runs of one configuration are a row, of each seed the best",
    "last": "a person's runs of one configuration are a row, of each seed the newest",
    "all": "every result is a row",
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
        "time_limit_s", "stall_limit_s", "checkpoint_every_epochs", "priority", "engine",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Card:
    """A board and its leaders, or the command that would make the first."""

    entry: BoardEntry
    rows: list[BoardRow]
    values: Mapping[int, str]
    command: str


@pages.get("/")
@allow("member")
def show_boards() -> Response:
    owner_id = narrowed_owner_id(me())
    catalog = services().catalog
    with services().database.snapshot() as session:
        ranked = [
            (entry, board_rows(session, entry, _LEADERS, owner_id))
            for entry in catalog.boards.values()
        ]
    cards = [
        Card(entry, rows, value_texts(rows), example_command(entry, catalog))
        for entry, rows in ranked
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
        curve_name, sparks = _sparklines(session, entry, rows)
    sorting = Sorting.from_request(_COLUMNS, "rank")
    common, differing = split_configurations(rows, _answers(entry, rows))
    return page(
        "board.html",
        section="Boards",
        title=entry.title,
        entry=entry,
        rows=rows,
        lines=lines_of(entry, sorting.apply(rows, _COLUMNS), sorting),
        sorting=sorting,
        values=value_texts(rows),
        chart=cost_chart(entry, rows),
        place_text=place_text,
        place_title=place_title,
        seeds_text=seeds_text,
        spread_text=spread_text,
        has_bands=any(row.band for row in rows),
        curve_name=curve_name,
        sparks=sparks,
        most_rows=_ROWS,
        common=common,
        differing=differing,
        most_chips=_CHIPS,
        rule_text=_rule_text(entry),
        kind_word="Model" if entry.kind == "train" else "Kernel",
        command=example_command(entry, catalog),
    )


def _rule_text(entry: BoardEntry) -> str:
    if not entry.per:
        return _RULES[entry.rule]
    *first, last = (words(name) for name in entry.per)
    points = f"{', '.join(first)} and {last}" if first else last
    return f"a row for each {points}, the best of all that anybody tried"


def _sparklines(
    session: Session, entry: BoardEntry, rows: Sequence[BoardRow]
) -> tuple[str, dict[int, Markup]]:
    """The curve that leads to the board's metric, by trial; no name where there is none."""
    validation = f"val_{entry.metric.removeprefix('test_').removeprefix('val_')}"
    names = (validation, entry.metric)
    curves = curves_of_many(session, [row.trial_id for row in rows], names)
    name = next((name for name in names if any(name in of for of in curves.values())), "")
    sparks = {
        trial_id: sparkline(words(name), of[name].values, look_of(trial_id))
        for trial_id, of in curves.items()
        if name in of
    }
    return name, sparks


def _answers(entry: BoardEntry, rows: Sequence[BoardRow]) -> frozenset[str]:
    """Settings that a board of points was asked for: how each kernel is run best."""
    if not entry.per:
        return frozenset()
    launches = (row.spec.get("launch") for row in rows)
    names = {name for launch in launches if isinstance(launch, Mapping) for name in launch}
    return frozenset({"variant", *names})


def split_configurations(
    rows: Sequence[BoardRow], always: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """What all rows have in common, and by trial id what sets each apart, or is `always` told.

    A single row has nothing to be compared with and shows all of its own.
    """
    flat = {row.trial_id: configuration(row) for row in rows}
    if len(rows) < 2:
        return {}, flat
    first = flat[rows[0].trial_id]
    common = {
        name: value
        for name, value in first.items()
        if name not in always
        and all(name in other and other[name] == value for other in flat.values())
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
    if row.spread.n > 1:
        first.pop("seed", None)
        flat.pop("seed", None)
    return {**first, **{name: value for name, value in flat.items() if name not in first}}


def example_command(entry: BoardEntry, catalog: Catalog) -> str:
    """A command whose result would stand on this board."""
    if entry.example:
        return f"labpool submit {entry.example}"
    room = "models" if entry.kind == "train" else "kernels"
    names = list(catalog.models if entry.kind == "train" else catalog.kernels)
    wanted = entry.where.get("model") or entry.where.get("kernel")
    preferred = wanted[0] if isinstance(wanted, list) else wanted
    fitting = [name for name in names if name in (preferred, "lenet5", "mlp")] or names or ["NAME"]
    name = preferred if preferred in names else fitting[0]
    if not preferred and entry.where.get("dataset") == "spirals" and "mlp" in names:
        name = "mlp"
    file = f"catalog/{room}/{name}/example.yaml"
    device = entry.device or entry.where.get("device")
    found = catalog.models.get(name) if entry.kind == "train" else catalog.kernels.get(name)
    edited = {"device": device, "dataset": entry.where.get("dataset")}
    edits = [
        f"s/^{said}/{said.partition(':')[0]}: {value}/"
        for key, value in edited.items()
        if found and value and (said := _said(found.path / "example.yaml", key))
        and said.strip() != f"{key}: {value}"
    ]  # fmt: skip
    if edits:
        return f"sed '{'; '.join(edits)}' {file} | labpool submit -"
    return f"labpool submit {file}"


def _said(example: Path, key: str) -> str | None:
    """The example's line with `key`, or None."""
    try:
        lines = example.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line for line in lines if re.fullmatch(rf" *{key}: [a-z0-9_]+", line)), None)
