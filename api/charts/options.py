"""How the reader wants curves drawn; kept in the page's address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

X = Literal["epoch", "step", "time"]
Y = Literal["linear", "log"]
X_LABELS: Mapping[str, str] = {"epoch": "epoch", "step": "step", "time": "time (s)"}
MOST_SMOOTHING = 0.99
# Those of the address that belong to the controls; every other one is carried along.
NAMES = ("smooth", "x", "y", "metric")


@dataclass(frozen=True, slots=True)
class ChartOptions:
    """`x` is None where the reader has not chosen: epochs where all points have one, else steps."""

    smooth: float = 0.0
    x: X | None = None
    y: Y = "linear"
    metric: str | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> ChartOptions:
        """What the address says; what it says wrongly is the default."""
        x, y = query.get("x"), query.get("y")
        return cls(
            smooth=_share(query.get("smooth", "")),
            x=x if x in get_args(X) else None,  # type: ignore[arg-type]
            y="log" if y == "log" else "linear",
            metric=query.get("metric") or None,
        )


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return min(max(value, 0.0), MOST_SMOOTHING) if value == value else 0.0
