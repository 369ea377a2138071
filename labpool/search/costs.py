"""How much of its trials a sweep can be expected to train, before any has begun."""

from __future__ import annotations

from labpool.search.driving import STRATEGIES, epochs
from labpool.spec import SweepSpec, TrainSpec
from labpool.strategy_form import AshaPruner


def least_and_most_trained(spec: SweepSpec) -> tuple[float, float] | None:
    """Between which shares of all epochs what is trained lies; None without a pruner.

    `median` may end none, or all but the first `min_trials` as early as it may end any. `asha`
    trains its rungs at least, and more where it has to go on without being sure.
    """
    pruner = spec.strategy.pruner
    whole = spec.base.epochs if isinstance(spec.base, TrainSpec) else None
    if pruner is None or whole is None:
        return None
    if isinstance(pruner, AshaPruner):
        return share_trained(spec), 1.0
    points = STRATEGIES[spec.strategy.method].count(spec)
    ended = max(0, points - pruner.min_trials)
    return 1.0 - ended * (whole - min(whole, pruner.min_epochs)) / (points * whole), 1.0


def share_trained(spec: SweepSpec) -> float:
    """The share of all epochs of all trials that are trained, 1 where none can be told before.

    What the median or early stopping will save nobody knows; rungs are known.
    """
    pruner = spec.strategy.pruner
    if not isinstance(pruner, AshaPruner) or not isinstance(spec.base, TrainSpec):
        return 1.0
    whole = spec.base.epochs
    if whole is None:
        return 1.0
    points = members = STRATEGIES[spec.strategy.method].count(spec)
    trained, before, rung = 0, 0, 0
    while (at := epochs(spec, rung)) is not None:
        trained += members * (at - before)
        members, before, rung = max(1, members // pruner.reduction), at, rung + 1
    return (trained + members * (whole - before)) / (points * whole)
