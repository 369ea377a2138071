"""What a classifier made of its test split, for its trial's page: a heat map and its mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from api.pages.pictures import is_picture
from db.reads.files import ArtifactRow

SHEET = "mistakes.png"
LEVELS = 6
"""Shades of the heat map, 0 for an empty cell."""
_MOST_CONFUSED = 3

_Count = Annotated[int, Field(ge=0)]
_Length = Annotated[int, Field(ge=1, le=4096)]


class _Told(BaseModel):
    """Part of a result's summary, which comes from a runner and is checked before it is drawn."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Mistake(_Told):
    """An example of the test split, counted from 0, that was taken for another class."""

    place: _Count
    true: _Count
    given: _Count
    probability: Annotated[float, Field(ge=0, le=1)]
    x: Annotated[list[float], Field(max_length=64)] = []

    @property
    def words(self) -> str:
        return (
            f"Test example {self.place}: a {self.true} taken for {self.given} "
            f"with {100 * self.probability:.1f} %"
        )


class _Sheet(_Told):
    """Where the mistakes lie in one picture; height before width, in its pixels."""

    columns: _Length
    shown: _Length
    size: tuple[_Length, _Length]
    tile: tuple[_Length, _Length]
    step: tuple[_Length, _Length]


class _Examined(_Told):
    wrong: _Count
    tested: Annotated[int, Field(ge=1)]
    confusion: Annotated[list[list[_Count]], Field(min_length=2, max_length=64)] | None = None
    mistakes: Annotated[list[Mistake], Field(max_length=100)] = []
    sheet: _Sheet | None = None

    @model_validator(mode="after")
    def _is_square(self) -> _Examined:
        if any(len(row) != len(self.confusion or []) for row in self.confusion or []):
            raise ValueError("the matrix is not square")
        return self


@dataclass(frozen=True, slots=True)
class Cell:
    """`shade` names the style of a cell, by its share of the row."""

    count: int
    shade: str
    words: str


@dataclass(frozen=True, slots=True)
class Crop:
    """A mistake's part of the sheet, as an SVG view box."""

    mistake: Mistake
    box: str


@dataclass(frozen=True, slots=True)
class ExaminedPanel:
    """`rows` are the matrix, empty where it is too large to be drawn."""

    verdict: str
    confused: str
    rows: list[list[Cell]]
    crops: list[Crop]
    mistakes: list[Mistake]
    sheet_id: int | None
    sheet_size: tuple[int, int]


def examined_panel(
    summary: Mapping[str, Any], artifacts: Sequence[ArtifactRow]
) -> ExaminedPanel | None:
    """The panel; None for a result that has none of this, or nothing that could be drawn."""
    try:
        found = _Examined.model_validate(summary.get("examined"), strict=False)
    except ValidationError:
        return None
    row = next((row for row in artifacts if row.name == SHEET and is_picture(row)), None)
    crops = [] if row is None or found.sheet is None else _crops(found.mistakes, found.sheet)
    right = f"{found.tested - found.wrong:,} of {found.tested:,} test examples named right"
    return ExaminedPanel(
        verdict=f"{right} ({100 - 100 * found.wrong / found.tested:.1f} %)",
        confused=_confused(found.confusion or []),
        rows=[_cells(number, counts) for number, counts in enumerate(found.confusion or [])],
        crops=crops,
        mistakes=found.mistakes,
        sheet_id=row.id if row is not None and crops else None,
        sheet_size=found.sheet.size if found.sheet is not None else (0, 0),
    )


def _cells(true: int, counts: list[int]) -> list[Cell]:
    total = sum(counts)
    return [_cell(true, given, count, total) for given, count in enumerate(counts)]


def _cell(true: int, given: int, count: int, total: int) -> Cell:
    # Rounded up: a single mistake among many examples is seen too.
    level = -(-count * (LEVELS - 1) // total) if total else 0
    kind = "right" if true == given else "wrong"
    shade = f"heat-{kind}-{level}" if count else "heat-0"
    verb = "named right" if true == given else f"taken for {given}"
    return Cell(count, shade, f"{count} of {total} of class {true} {verb}")


def _confused(confusion: list[list[int]]) -> str:
    """'8 for 1 (3 times), 9 for 3 (once)': what happens most, the more often the earlier."""
    pairs = sorted(
        (-count, true, given)
        for true, counts in enumerate(confusion)
        for given, count in enumerate(counts)
        if count and true != given
    )
    times = [(true, given, -count) for count, true, given in pairs[:_MOST_CONFUSED]]
    return ", ".join(
        f"{true} for {given} ({'once' if count == 1 else f'{count} times'})"
        for true, given, count in times
    )


def _crops(mistakes: list[Mistake], sheet: _Sheet) -> list[Crop]:
    crops = []
    for number, mistake in enumerate(mistakes[: sheet.shown]):
        row, column = divmod(number, sheet.columns)
        place = f"{column * sheet.step[1]} {row * sheet.step[0]}"
        crops.append(Crop(mistake, f"{place} {sheet.tile[1]} {sheet.tile[0]}"))
    return crops
