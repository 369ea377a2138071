"""How commands print: JSON for programs, aligned columns for people, nothing that acts."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any


def say(text: str) -> None:
    """Tell the person; stdout stays for what was asked for."""
    print(text, file=sys.stderr, flush=True)


def print_json(content: object) -> None:
    """One line of JSON on stdout."""
    print(json.dumps(content, default=str), flush=True)


def printable(value: object) -> str:
    """Text without control characters: what other users wrote must not steer a terminal."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(
        character if character in "\n\t" or unicodedata.category(character)[0] != "C" else "�"
        for character in text
    )


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns under a head; numbers to the right, never cut off."""
    cells = [[printable(value).replace("\n", " ") for value in row] for row in rows]
    if not cells:
        print("none")
        return
    lines = [list(columns), *cells]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    right = [all(_is_number(line[index]) for line in cells) for index in range(len(columns))]
    for line in lines:
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        print("  ".join(padded).rstrip())


def number(value: object, digits: int = 4) -> str:
    """A number with `digits` significant digits; a dash for none."""
    return f"{value:.{digits}g}" if isinstance(value, int | float) else "-"


def amount(value: float) -> str:
    """How much of something is done: at most one digit after the point, thousands apart."""
    return f"{round(value, 1):,.9g}"


def count_of(count: int, thing: str) -> str:
    """1 trial, 2 trials."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """Seconds in words: 8 s, 2 min 5 s, 1 h 3 min."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ago(when: datetime) -> str:
    """How long since: 8 s ago."""
    return f"{duration((datetime.now(UTC) - when).total_seconds())} ago"


def pairs(values: Mapping[str, Any]) -> str:
    """name=value, name=value"""
    return ", ".join(f"{name}={_short(value)}" for name, value in values.items())


def _short(value: object) -> str:
    return number(value, 6) if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    """Whether a cell holds a number, perhaps marked with a star, or the dash for none."""
    text = text.rstrip(" *")
    if text == "-":
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
