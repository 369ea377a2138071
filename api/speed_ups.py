"""How much faster the trials of an experiment are on a GPU than their twins on a CPU."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from db.reads.trials import TrialRow
from db.states import TrialState
from labpool.measures import direction_by_name

# What a trial measures of its own speed, the time that is its own alone first.
_SPEEDS = ("median_ms", "images_per_second")
_TRANSFERS = ("to_device_ms", "from_device_ms")
"""Milliseconds for all inputs of one run of a kernel, and for its output."""


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """Two trials that differ in `device` alone; `ratio` above 1 says that the GPU is faster.

    `metric` is median_ms (ms a run) or images_per_second, `cpu` and `gpu` are its values.
    `transfer_ms` is what it takes to bring a kernel's inputs to the GPU and its output back, which
    `gpu` and `ratio` leave out; `ratio_with_transfer` counts it to each run. Both are None where it
    was not measured, as in training, whose images arrive while it computes.
    """

    metric: str
    cpu: float
    gpu: float
    ratio: float
    cpu_trial: int
    gpu_trial: int
    transfer_ms: float | None = None
    ratio_with_transfer: float | None = None


def speed_ups_of(trials: Iterable[TrialRow]) -> list[SpeedUp]:
    """Of every pair whose two trials have succeeded; of a trial and its retry, the newest."""
    pairs: dict[str, dict[str, TrialRow]] = {}
    for row in sorted(trials, key=lambda trial: trial.id):
        device = row.varied.get("device")
        if device in ("cpu", "gpu") and row.state == TrialState.SUCCEEDED:
            others = {name: value for name, value in row.varied.items() if name != "device"}
            pairs.setdefault(json.dumps(others, sort_keys=True), {})[device] = row
    found = (_compared(pair["cpu"], pair["gpu"]) for pair in pairs.values() if len(pair) == 2)
    return [one for one in found if one is not None]


def _compared(cpu: TrialRow, gpu: TrialRow) -> SpeedUp | None:
    for metric in _SPEEDS:
        one, other = cpu.metrics.get(metric), gpu.metrics.get(metric)
        if one and other:
            ratio = other / one if direction_by_name(metric) == "maximize" else one / other
            found = SpeedUp(metric, float(one), float(other), float(ratio), cpu.id, gpu.id)
            return _with_transfer(found, gpu) if metric == "median_ms" else found
    return None


def _with_transfer(found: SpeedUp, gpu: TrialRow) -> SpeedUp:
    ways = [gpu.metrics.get(name) for name in _TRANSFERS]
    known = [float(way) for way in ways if way is not None]
    if len(known) < len(ways):
        return found
    transfer_ms = sum(known)
    whole_ratio = found.cpu / (found.gpu + transfer_ms)
    return replace(found, transfer_ms=transfer_ms, ratio_with_transfer=whole_ratio)
