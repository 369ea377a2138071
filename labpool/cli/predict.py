"""`labpool predict`: ask a trained model."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

import click

from labpool.cli.options import NUMBER, connect, json_option, url_option
from labpool.cli.output import number, print_json, print_table, say
from labpool.client.records import Prediction

MOST_ROWS = 50
# Of a table; `--json` and `--out` have every class.
NEXT_BEST = 2
MOST_NUMBERS = 10

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False, readable=True)


@click.command("predict")
@click.argument("trial", type=NUMBER)
@click.argument("files", nargs=-1, type=_FILE)
@click.option(
    "--numbers", multiple=True, help="One example as numbers, 1,2,3; may be given again for more."
)
@click.option(
    "--turn-over",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    show_default=True,
    help="Whether a picture's light and dark change places.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the numbers of every example to this CSV file.",
)
@url_option
@json_option
def predict(
    trial: int,
    files: tuple[Path, ...],
    numbers: tuple[str, ...],
    turn_over: str,
    out: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Ask TRIAL's best checkpoint about FILES or numbers.

    A FILE is a PNG or JPEG picture, or an NPZ, NPY, IDX or CSV file of many examples. Black ink on
    white paper is turned over for data sets of light ink on a dark ground. The answer is the
    probability of each class, or a model's raw outputs.
    """
    if not files and not numbers:
        raise click.UsageError("name a FILE, or give --numbers")
    asked: list[tuple[str, Path | list[Any]]] = [(str(file), file) for file in files]
    if numbers:
        asked.append(("numbers", [_numbers(text) for text in numbers]))
    with connect(url) as client:
        answers = [
            (name, client.predict(trial, inputs, turn_over=turn_over)) for name, inputs in asked
        ]
    if out is not None:
        out.write_text(as_csv(answers), encoding="utf-8")
        say(f"Wrote {out}.")
    if as_json:
        print_json([{"input": name, **answer.model_dump(mode="json")} for name, answer in answers])
    else:
        print_answers(answers)


def _numbers(text: str) -> list[float]:
    try:
        return [float(cell) for cell in text.replace(";", ",").split(",")]
    except ValueError:
        raise click.BadParameter(f"{text!r} is not 1,2,3", param_hint="--numbers") from None


def print_answers(answers: Sequence[tuple[str, Prediction]]) -> None:
    """A line an example: the most probable class first, and numbers that are no probabilities."""
    rows: list[tuple[object, ...]] = []
    others: list[tuple[object, ...]] = []
    for name, answer in answers:
        for place, probabilities in enumerate(answer.probabilities, start=1):
            best = sorted(range(len(probabilities)), key=probabilities.__getitem__, reverse=True)
            rest = ", ".join(
                f"{answer.name_of(label)} ({number(probabilities[label], 3)})"
                for label in best[1 : 1 + NEXT_BEST]
            )
            given = answer.name_of(best[0])
            rows.append((name, place, given, number(probabilities[best[0]], 4), rest))
        for array, content in answer.arrays.items():
            if array != "probabilities":
                others += _rows_of(name, array, content)
    _print_rows(("input", "example", "class", "probability", "then"), rows)
    _print_rows(("input", "example", "array", "numbers"), others)


def _rows_of(name: str, array: str, content: dict[str, Any]) -> list[tuple[object, ...]]:
    """A row an example; what has more numbers than a line has room for is only named."""
    shape = content["shape"]
    if prod(shape[1:]) > MOST_NUMBERS:
        print(f"{name}: {array} {' x '.join(map(str, shape))}; --json or --out has the numbers")
        return []
    return [
        (name, place, array, ", ".join(number(value, 4) for value in _flat(values)))
        for place, values in enumerate(content["values"], start=1)
    ]


def _print_rows(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        print_table(head, rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        print(f"and {len(rows) - MOST_ROWS:,} more; --out FILE writes all")


def as_csv(answers: Sequence[tuple[str, Prediction]]) -> str:
    """A line an example: input, example, class where there is one, then every number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head: list[str] = []
    for name, answer in answers:
        flat = [[_flat(one) for one in content["values"]] for content in answer.arrays.values()]
        columns = [
            f"{array}_{place}"
            for array, values in zip(answer.arrays, flat, strict=True)
            for place in range(max(map(len, values), default=0))
        ]
        if columns != head:
            head = columns
            writer.writerow(["input", "example", "class", *columns])
        # Every array has a part for each example.
        examples = [list(chain(*parts)) for parts in zip(*flat, strict=True)]
        labels: list[int | str] = [guess.label for guess in answer.guesses]
        labels = labels or [""] * len(examples)
        for place, (label, row) in enumerate(zip(labels, examples, strict=True), start=1):
            writer.writerow([name, place, label, *row])
    return text.getvalue()


def _flat(values: Any) -> list[float]:
    if not isinstance(values, list):
        return [values]
    return [inner for value in values for inner in _flat(value)]
