"""Learning curves whose best trial is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tests.support.simulated_sweep import Curve


def hill(values: Mapping[str, Any], epoch: int) -> float:
    """Best at a rate of 0.03; every trial learns at the same pace, so that ranks never change."""
    distance = math.log10(values["learning_rate"] / 0.03)
    return (1 - math.exp(-epoch / 6)) / (1 + distance**2)


def crossing(values: Mapping[str, Any], epoch: int) -> float:
    """Best at a rate of 0.03 in the end; higher rates are ahead at first."""
    rate = values["learning_rate"]
    distance = math.log10(rate / 0.03)
    return (1 - math.exp(-epoch * (rate / 0.03) ** 0.25 / 4)) / (1 + distance**2)


def noisy(curve: Curve, amount: float) -> Curve:
    """The same with a disturbance that depends on the trial and the epoch."""

    def disturbed(values: Mapping[str, Any], epoch: int) -> float:
        told = math.sin(1e4 * math.log(values["learning_rate"]) + 12.9898 * epoch) * 43758.5453
        return curve(values, epoch) + amount * (told - math.floor(told) - 0.5)

    return disturbed
