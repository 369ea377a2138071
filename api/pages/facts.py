"""The numbers and settings of a trial that its page puts first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.pages.filters import metric_value, seconds_value, words
from db.reads.curves import Curve
from db.reads.files import AttemptRow
from db.reads.trials import TrialRow
from labpool.origins import begun_from

# Whole names with what they are called and their unit; then endings of names with their unit.
_NAMED = {
    "gflop_s": ("throughput", "GFLOP/s"),
    "gb_s": ("bandwidth", "GB/s"),
    "percent_of_peak": ("of the measured peak", "%"),
    "images_per_second": ("training speed", "images/s"),
    "train_seconds": ("training time", "s"),
}
_ENDINGS = {"_ms": "ms", "_seconds": "s", "_s": "s", "_percent": "%"}
# The order in which results are read; whatever else a trial measured follows.
_FIRST = (
    "test_iou", "test_accuracy", "test_return", "test_loss", "val_iou", "val_accuracy",
    "median_ms", "median_low_ms", "median_high_ms", "gflop_s", "gb_s", "noise_percent",
)  # fmt: skip
_NOT_SETTINGS = frozenset({"kind", "name", "notes", "tags", "priority"})


@dataclass(frozen=True, slots=True)
class Fact:
    name: str
    value: str
    unit: str = ""


def facts_of(
    trial: TrialRow, curves: Sequence[Curve], attempts: Sequence[AttemptRow]
) -> list[Fact]:
    """The result's metrics, or the newest values while there is none; then time and device."""
    values: Mapping[str, Any] = trial.metrics or {
        curve.name: curve.values[-1] for curve in curves if curve.values
    }
    first = [name for name in _FIRST if name in values]
    names = first + [name for name in values if name not in first]
    facts = [_fact(name, values[name]) for name in names]
    if trial.seconds is not None:
        facts.append(Fact("time on slots", seconds_value(trial.seconds), "s"))
    environment = attempts[0].environment if attempts else {}
    device = trial.ran_on or environment.get("device") or trial.device
    facts.append(Fact("device", str(device)))
    facts.append(Fact("seed", str(trial.seed)))
    if together := environment.get("trained_together"):
        facts.append(Fact("trained together", str(together), "trials"))
    return facts


def _fact(name: str, value: Any) -> Fact:
    if name in _NAMED:
        return Fact(_NAMED[name][0], metric_value(value), _NAMED[name][1])
    for ending, unit in _ENDINGS.items():
        if name.endswith(ending):
            return Fact(words(name.removesuffix(ending)), metric_value(value), unit)
    return Fact(words(name), metric_value(value))


def settings_of(trial: TrialRow) -> list[tuple[str, Any]]:
    """The resolved spec, parameters flattened."""
    pairs: list[tuple[str, Any]] = []
    for name, value in trial.spec.items():
        if name in _NOT_SETTINGS or value is None:
            continue
        if (origin := begun_from(trial.spec)) and name == "init_from":
            short = f", sha256 {origin.sha256[:12]}…" if origin.sha256 else ""
            pairs.append((name, f"trial {origin.trial}{short}"))
            continue
        if isinstance(value, Mapping):
            pairs.extend((f"{words(name)}: {inner}", nested) for inner, nested in value.items())
        elif name.endswith("_s"):
            pairs.append((name.removesuffix("_s"), f"{value:g} s"))
        else:
            pairs.append((name, value))
    return pairs


def origin_of(trial: TrialRow, attempts: Sequence[AttemptRow]) -> list[tuple[str, Any]]:
    """What the result was made with, for whoever wants to repeat it."""
    environment = dict(attempts[0].environment) if attempts else {}
    versions = environment.pop("versions", {})
    pairs: list[tuple[str, Any]] = [("catalog digest", trial.code_digest)]
    if trial.data_digest:
        pairs.append(("data digest", trial.data_digest))
    known = {name: value for name, value in environment.items() if value is not None}
    pairs += [(words(name), value) for name, value in known.items()]
    if isinstance(versions, Mapping):
        pairs += [(str(name), value) for name, value in versions.items()]
    return pairs
