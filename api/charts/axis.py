"""An axis of values of any kind: numbers, numbers over decades, or words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from api.charts.scale import Scale, fit, label

AxisKind = Literal["linear", "log", "words"]

# Numbers that span as much are read better by their logarithms.
_LOG_FROM = 20.0
_MOST_WORDS = 12


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to 0…1. `words` are the places of an axis of words, in order."""

    name: str
    kind: AxisKind
    scale: Scale
    words: tuple[str, ...] = ()

    def share(self, value: Any) -> float | None:
        """Where `value` stands, 0 at the low end; None when it has no place here."""
        if self.kind == "words":
            return _word_share(self.words, value)
        number = as_number(value)
        if number is None or (self.kind == "log" and number <= 0):
            return None
        return min(1.0, max(0.0, self.scale.position(number)))

    def ticks(self) -> list[tuple[float, str]]:
        """Where the axis is labelled, and with what."""
        if self.kind == "words":
            places = [(_word_share(self.words, word) or 0.0, word) for word in self.words]
            return [(share, word if len(word) <= 14 else f"{word[:13]}…") for share, word in places]
        found = [(self.scale.position(tick), label(tick)) for tick in self.scale.ticks(5)]
        return [(share, text) for share, text in found if -1e-9 <= share <= 1 + 1e-9]


def axis_of(name: str, values: Iterable[Any]) -> Axis:
    """The axis that holds all `values`; what is None is left out."""
    given = [value for value in values if value is not None]
    numbers = [number for value in given if (number := as_number(value)) is not None]
    if given and len(numbers) < len(given):
        return Axis(name, "words", Scale(0.0, 1.0, 0.0, 1.0), _words(given))
    spread = max(numbers) / min(numbers) if numbers and min(numbers) > 0 else 0.0
    kind: Literal["linear", "log"] = "log" if spread >= _LOG_FROM else "linear"
    return Axis(name, kind, fit(numbers, 0.0, 1.0, kind, margin=0.04))


def as_number(value: Any) -> float | None:
    """A finite number; truth values are words."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def as_word(value: Any) -> str:
    """A value as an axis of words has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _words(values: Sequence[Any]) -> tuple[str, ...]:
    found = list(dict.fromkeys(as_word(value) for value in values))
    return tuple(sorted(found)[:_MOST_WORDS])


def _word_share(words: Sequence[str], value: Any) -> float | None:
    if value is None or as_word(value) not in words:
        return None
    return (words.index(as_word(value)) + 0.5) / len(words)
