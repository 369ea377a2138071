"""CSV: one example a line, numbers and one label, with or without a line of names."""

from __future__ import annotations

import csv
import math
import unicodedata
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from labpool.readers.limits import BadData, Limits
from labpool.readers.raw import RawArray, opened

LABELS = ("label", "class", "target", "y", "species")
"""Names of a column that holds the label; without one of them the last column does."""
MOST_LINE_BYTES = 256 * 1024
MOST_COLUMNS = 16_384
_MOST_NAME = 80
# "y" may be a class, beside "n".
_NEVER_CLASSES = frozenset(LABELS) - {"y"}
# Of so few numbers an example may be 0, 1, 2.
_FEW = 3
_LARGEST = 3.4028234663852886e38
"""Of the numbers of four bytes."""
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
# Persian and several Indian scripts are written with them.
_JOINERS = "\u200c\u200d"


def read_csv(path: Path, limits: Limits = Limits()) -> tuple[RawArray, RawArray, list[str]]:  # noqa: B008
    """x f4 [n, columns - 1], y i4 [n], and the classes' names in order. Raises BadData."""
    with opened(path, limits) as (file, _):
        return _Table(path.name, limits).read(file)


class _Table:
    def __init__(self, name: str, limits: Limits) -> None:
        self._name, self._limits = name, limits
        self._x, self._labels = array("f"), array("i")
        self._numbers: dict[str, int] = {}

    def read(self, file: BinaryIO) -> tuple[RawArray, RawArray, list[str]]:
        place, width = -1, 0
        for number, cells in self._rows(file):
            if not width:
                width = len(cells)
                if width < 2:
                    raise self._wrong(number, "has one column; numbers and a label are needed.")
                place = width - 1
                names = [cell.strip().lower() for cell in cells]
                self._refuse_counted(number, names)
                numbers = all(_number(cell) is not None for cell in cells[:-1])
                if not numbers or not _NEVER_CLASSES.isdisjoint(names):
                    place = next((names.index(n) for n in LABELS if n in names), place)
                    continue
            if len(cells) != width:
                raise self._wrong(number, f"has {len(cells)} columns, the first line {width}.")
            self._take(number, cells, place)
        return self._found(width)

    def _refuse_counted(self, number: int, names: list[str]) -> None:
        """A table program names columns 0, 1, 2 … where nobody did."""
        if len(names) > _FEW and names == [str(place) for place in range(len(names))]:
            raise self._wrong(
                number, "counts the columns. Take it out, or name the column of the labels: label."
            )

    def _take(self, number: int, cells: list[str], place: int) -> None:
        label = cells[place].strip()
        if (found := _unseen(cells[place].strip(" \t"))) is not None:
            raise self._wrong(
                number,
                f"column {place + 1}: the label holds U+{ord(found):04X}, a character that is not "
                "shown; labels are plain text.",
            )
        if not label or len(label) > _MOST_NAME:
            raise self._wrong(number, f"has no label, or a longer one than {_MOST_NAME} letters.")
        if label not in self._numbers and len(self._numbers) >= self._limits.classes:
            raise self._wrong(number, f"has a class too many; {self._limits.classes} are read.")
        self._labels.append(self._numbers.setdefault(label, len(self._numbers)))
        for column, cell in enumerate(cells):
            if column == place:
                continue
            value = _number(cell)
            if value is None or not math.isfinite(value):
                raise self._wrong(number, f"column {column + 1} holds {cell[:40]!r}, no number.")
            if abs(value) > _LARGEST:
                raise self._wrong(
                    number, f"column {column + 1} holds {cell[:40]!r}, too large for four bytes."
                )
            self._x.append(value)
        if len(self._x) * 4 > self._limits.array_bytes:
            raise self._wrong(number, f"passes {self._limits.array_bytes} bytes of numbers.")

    def _found(self, width: int) -> tuple[RawArray, RawArray, list[str]]:
        rows = len(self._labels)
        if not rows:
            raise BadData(self._name, "", "holds no rows.")
        names = sorted(self._numbers, key=_in_order)
        place = {self._numbers[name]: number for number, name in enumerate(names)}
        y = array("i", (place[label] for label in self._labels))
        x = RawArray(self._name, "", "f4", (rows, width - 1), self._x)
        return x, RawArray(self._name, "the labels", "i4", (rows,), y), names

    def _rows(self, file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
        number = 0
        while line := file.readline(MOST_LINE_BYTES + 1):
            number += 1
            if len(line) > MOST_LINE_BYTES:
                raise self._wrong(number, f"is longer than {MOST_LINE_BYTES} bytes.")
            if number > self._limits.examples:
                raise self._wrong(number, f"is one too many; {self._limits.examples} are read.")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise self._wrong(number, f"is not UTF-8 (byte {error.start}).") from None
            if not text.strip():
                continue
            try:
                [cells] = csv.reader([text], strict=True)
            except (csv.Error, ValueError) as error:
                raise self._wrong(number, f"is no line of CSV: {error}.") from None
            if len(cells) > MOST_COLUMNS:
                raise self._wrong(number, f"has {len(cells)} columns; {MOST_COLUMNS} are read.")
            yield number, cells

    def _wrong(self, line: int, reason: str) -> BadData:
        return BadData(self._name, f"line {line}", reason)


def _unseen(label: str) -> str | None:
    """The first character that no page or terminal shows as such: controls, marks of direction."""
    return next(
        (
            letter
            for letter in label
            if unicodedata.category(letter) in _UNSEEN and letter not in _JOINERS
        ),
        None,
    )


def _number(cell: str) -> float | None:
    # Longer text than any number; and float() would read 1_000 and letters of other scripts.
    cell = cell.strip()
    if len(cell) > 40 or not cell.isascii() or "_" in cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def _in_order(name: str) -> tuple[bool, float, str]:
    """Numbers by their value, words by the alphabet behind them."""
    value = _number(name)
    known = value is not None and math.isfinite(value)
    return (not known, value if value is not None and known else 0.0, name)
