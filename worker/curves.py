"""Points of curves, gathered into chunks before they are stored."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.protocol import Points

MOST_NAMES = 128
MOST_POINTS = 20_000
"""Points of one curve in one attempt: epochs plus a few hundred steps are far fewer."""


@dataclass(slots=True)
class _Points:
    steps: list[int] = field(default_factory=list)
    epochs: list[float | None] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CurveChunk:
    """Consecutive points of one curve."""

    name: str
    steps: list[int]
    epochs: list[float | None]
    times_s: list[float]
    values: list[float | None]


class Curves:
    """What one attempt has measured and not yet stored. Bounded: what is too much is dropped."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Points] = {}
        self._counts: dict[str, int] = {}
        self.dropped = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, message: Points) -> None:
        """Take in points of each curve named."""
        for name, values in message.values.items():
            count = self._counts.get(name, 0)
            known = name in self._counts or len(self._counts) < MOST_NAMES
            room = min(MOST_POINTS - count, len(values)) if known else 0
            self.dropped += len(values) - room
            if room == 0:
                continue
            self._counts[name] = count + room
            points = self._waiting.setdefault(name, _Points())
            points.steps += message.steps[:room]
            points.epochs += message.epochs[:room]
            points.times_s += message.times_s[:room]
            points.values += values[:room]

    def take(self) -> list[CurveChunk]:
        """Everything gathered since the last `take`, a chunk for each curve."""
        waiting, self._waiting = self._waiting, {}
        return [
            CurveChunk(name, points.steps, points.epochs, points.times_s, points.values)
            for name, points in waiting.items()
        ]
