"""The page of a run of the course: one file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from labpool.settings import CHECKOUT
from tests.faults.frame import Figure
from tests.lab.course import Shown

STYLES = ("tokens.css", "labpool.css")


def written(rows: Sequence[Shown]) -> str:
    """HTML with a table of every number and floor, then each row's pictures and notes."""
    sheets = "\n".join(
        (CHECKOUT / "api" / "static" / name).read_text(encoding="utf-8") for name in STYLES
    )
    return Markup(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The lab course</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<style>{sheets}</style></head><body><main class="page stack">'
        "<h1>The lab course</h1>{table}{sections}</main></body></html>"
    ).format(
        sheets=Markup(sheets),  # noqa: S704 - our own style sheets
        table=_table(rows),
        sections=Markup("").join(_section(row) for row in rows),
    )


def _table(rows: Sequence[Shown]) -> Markup:
    lines = [
        Markup(
            '<tr><th scope="row">{name}</th><td class="number">{value}</td><td>{floor}</td>'
            "<td>{said}</td><td>{row}</td></tr>"
        ).format(
            row=row.row.title,
            name=name,
            value=_short(one["value"]),
            floor=one["floor"],
            said=_said(one),
        )
        for row in rows
        for name, one in row.judged().items()
    ]
    return Markup(
        '<div class="scroll"><table><thead><tr><th scope="col">number</th>'
        '<th scope="col">value</th><th scope="col">floor</th><th scope="col"></th>'
        '<th scope="col">row</th></tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(Markup("").join(lines))


def _said(one: Mapping[str, Any]) -> str:
    if one["ok"] is None:
        return f"NOT MEASURED. {one['not_measured']}"
    return "reached" if one["ok"] else "NOT REACHED"


def _section(row: Shown) -> Markup:
    others = {name: value for name, value in row.figures.items() if name not in row.row.floors}
    notes = [*row.notes, *(f"{name}: {_short(value)}" for name, value in others.items())]
    return Markup('<section class="stack"><h2>{}</h2>{}{}{}</section>').format(
        row.row.title,
        Markup("").join(Markup("<p>{}</p>").format(note) for note in notes),
        Markup("").join(row.pictures),
        Markup("<pre>{}</pre>").format(row.broke) if row.broke else "",
    )


def _short(value: Figure) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
