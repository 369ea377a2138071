"""A trial's curves: what it measured, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labpool.client.errors import PandasMissing

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric; the lists go together.

    `times_s` are seconds since the attempt began. A value that was not finite is None.
    """

    name: str
    steps: list[int]
    epochs: list[float | None]
    times_s: list[float]
    values: list[float | None]


class Curves(Mapping[str, Curve]):
    """The curves of one attempt by the metric's name.

    Feed it the service's answers in order with `add`; a takeover by another attempt starts anew.
    """

    def __init__(self, trial_id: int) -> None:
        self.trial_id = trial_id
        self.fence: int | None = None
        self.finished = False
        self.cursor: str | None = None
        self._curves: dict[str, Curve] = {}

    def add(self, answer: Mapping[str, Any]) -> None:
        """Take in one answer of the service."""
        if answer["reset"]:
            self._curves.clear()
        self.fence = answer["fence"]
        self.finished = answer["finished"]
        self.cursor = answer["cursor"]
        for name, points in answer["curves"].items():
            curve = self._curves.setdefault(name, Curve(name, [], [], [], []))
            for column in ("steps", "epochs", "times_s", "values"):
                getattr(curve, column).extend(points[column])

    def __getitem__(self, name: str) -> Curve:
        return self._curves[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._curves)

    def __len__(self) -> int:
        return len(self._curves)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {len(curve.steps)}" for name, curve in self._curves.items())
        return f"<curves of trial {self.trial_id}: {sizes}>"

    def to_pandas(self) -> pd.DataFrame:
        """One row a point: columns metric, step, epoch, time_s, value.

        Raises PandasMissing when pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise PandasMissing from None
        return pd.DataFrame(self.rows(), columns=["metric", "step", "epoch", "time_s", "value"])

    def rows(self) -> list[tuple[str, int, float | None, float, float | None]]:
        """The points as (metric, step, epoch, time_s, value)."""
        return [
            (name, *point)
            for name, curve in self._curves.items()
            for point in zip(curve.steps, curve.epochs, curve.times_s, curve.values, strict=True)
        ]
