"""`labpool curves`: what a trial measured, as a picture in the terminal or as numbers."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from labpool.cli.options import connect, json_option, url_option
from labpool.cli.output import number, print_json, printable
from labpool.cli.plot import plot, sparkline
from labpool.client import Curve, Curves, NotThere

COLUMNS = ("metric", "step", "epoch", "time_s", "value")
SPARKLINE_WIDTH = 40
PLOT_HEIGHT = 10
WIDEST_PLOT = 100
# The plot's frame and the labels of its axis take this much of a line.
MARGIN = 13


@click.command("curves")
@click.argument("trial", type=int)
@click.option(
    "--name", "names", multiple=True, help="Only this metric, as a larger plot; may be repeated."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print every point as CSV.")
@url_option
@json_option
def curves(
    trial: int, names: tuple[str, ...], as_csv: bool, url: str | None, as_json: bool
) -> None:
    """Draw what TRIAL measured, or print every point (--csv, --json)."""
    with connect(url) as client:
        found = client.curves(trial)
    missing = [name for name in names if name not in found]
    if missing:
        known = f"It has {', '.join(found)}." if found else "It has measured nothing yet."
        raise NotThere(f"Trial {trial} has no curve {printable(missing[0])!r}. {known}")
    rows = [row for row in found.rows() if not names or row[0] in names]
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    elif not found:
        print("No curves yet.")
    elif names:
        for name in names:
            _print_plot(found[name])
    else:
        _print_sparklines(found)


def _print_sparklines(found: Curves) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("metric", "points", "first", "last", "lowest", "highest"):
        table.add_column(column, justify="left" if column == "metric" else "right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for curve in found.values():
        finite = _finite(curve.values)
        table.add_row(
            Text(printable(curve.name)),
            str(len(curve.values)),
            number(curve.values[0] if curve.values else None),
            number(curve.values[-1] if curve.values else None),
            number(min(finite, default=None)),
            number(max(finite, default=None)),
            Text(sparkline(curve.values, SPARKLINE_WIDTH), style="cyan"),
        )
    Console(width=None if sys.stdout.isatty() else 140, highlight=False).print(table)


def _print_plot(curve: Curve) -> None:
    console = Console(highlight=False)
    finite = _finite(curve.values)
    print(f"{printable(curve.name)}: {len(curve.values)} points")
    if not finite:
        print("  no finite value")
        return
    width = max(20, min(WIDEST_PLOT, console.width - MARGIN))
    lines = plot([float(step) for step in curve.steps], curve.values, width, PLOT_HEIGHT)
    for index, line in enumerate(lines):
        edge = {0: max(finite), PLOT_HEIGHT - 1: min(finite)}.get(index)
        label = "" if edge is None else number(edge)
        console.print(Text(f"{label:>10} │ "), Text(line, style="cyan"), sep="")
    first, last = f"step {curve.steps[0]}", str(curve.steps[-1])
    print(" " * (MARGIN) + first + last.rjust(width - len(first)) + "\n")


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
