"""The referee's own clock beside the times that a user's process tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.runner.reasons import WrongResult
from worker.wire_types import Json

LEAST_SLACK_S: Final = 1e-4
SLACK_SHARE: Final = 0.25
NOISES: Final = 3.0
"""Times the middle half of what runs of nothing took."""


@dataclass(frozen=True)
class Clocked:
    """One timed run: what its process told, and what went by on the referee's own clock, for the
    run alone and from its inputs' departure to its output's arrival."""

    told_s: float
    run_s: float
    whole_s: float


@dataclass(frozen=True)
class ClockRuling:
    """What of one of the clocks the told times leave unexplained, and what may be."""

    unexplained_s: float
    slack_s: float

    def describe(self) -> Json:
        """For the result's summary."""
        return {"unexplained_ms": 1e3 * self.unexplained_s, "slack_ms": 1e3 * self.slack_s}


def rule_on_clock(runs: Sequence[Clocked], idle: Sequence[Clocked]) -> Json:
    """Hold told times against both clocks; `idle` are runs of nothing with as many bytes.

    Returns the rulings for the summary. Raises WrongResult for times that are longer than what
    went by, or too short for it.
    """
    told = np.array([run.told_s for run in runs])
    run_s = np.array([run.run_s for run in runs])
    longer = told > run_s
    if longer.any():
        raise WrongResult(
            f"The kernel's process told of {1e3 * told[longer][0]:.4g} ms for a run that took "
            f"{1e3 * run_s[longer][0]:.4g} ms with all that belongs to it."
        )
    # A process may also work before it is asked to run, or when its output is fetched.
    whole_s = np.array([run.whole_s for run in runs])
    rulings = {
        "run": _rule(told, run_s, np.array([one.run_s for one in idle])),
        "whole": _rule(told, whole_s, np.array([one.whole_s for one in idle])),
    }
    for ruling in rulings.values():
        if ruling.unexplained_s > ruling.slack_s:
            raise WrongResult(
                f"The kernel's process told of a median of {1e3 * np.median(told):.4g} ms, but the "
                f"referee's clock saw {1e3 * ruling.unexplained_s:.4g} ms more go by; "
                f"{1e3 * ruling.slack_s:.4g} ms are let pass."
            )
    return {name: ruling.describe() for name, ruling in rulings.items()}


def _rule(
    told: NDArray[np.float64], passed: NDArray[np.float64], empty: NDArray[np.float64]
) -> ClockRuling:
    # The median is what ranks: who lies at fewer than half of the runs gains nothing by it.
    unexplained = float(np.median(passed - told) - np.median(empty))
    # Medians are compared, so what disturbs a few answers on a busy host does not count.
    noise = float(np.percentile(empty, 75) - np.percentile(empty, 25))
    slack = max(LEAST_SLACK_S, NOISES * noise, SLACK_SHARE * float(np.median(told)))
    return ClockRuling(unexplained, slack)
