"""How values are written on pages."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import yaml
from flask import Flask

from db.reads.files import AttemptRow
from db.states import Outcome
from labpool.durations import duration

STATE_ORDER = (
    "running", "queued", "paused", "succeeded", "failed", "lost", "cancelled", "pruned",
)  # fmt: skip
_DASH = "–"


def iso_time(epoch_s: float) -> str:
    moment = datetime.fromtimestamp(epoch_s, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def plain_time(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def relative_time(epoch_s: float, now_s: float | None = None) -> str:
    """'12 s ago' down to '3 d ago'; the exact time stands in the tooltip."""
    now = datetime.now(UTC).timestamp() if now_s is None else now_s
    age_s = now - epoch_s
    if age_s < 5:
        return "just now"
    for size_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if age_s >= size_s:
            return f"{int(age_s // size_s)} {unit} ago"
    return f"{int(age_s)} s ago"


def seconds_value(value: float | None) -> str:
    if value is None:
        return _DASH
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def metric_value(value: object) -> str:
    """Four significant digits; a missing value is a dash, NaN says so."""
    if value is None:
        return _DASH
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞"
    if isinstance(value, int) or (value == int(value) and abs(value) >= 1000):
        return f"{value:,.0f}"
    if abs(value) >= 1000:
        return f"{value:,.1f}"
    if 0.1 <= abs(value) <= 1:
        return f"{value:.4f}"
    return f"{value:.4g}"


def plain_number(value: float | None) -> str:
    return _DASH if value is None else f"{value:,.4g}" if value % 1 else f"{value:,.0f}"


def tenths(value: float) -> str:
    """'11.1': rounded down, so that only what is done reads as done."""
    rounded = math.floor(value * 10) / 10
    return f"{rounded:,.1f}" if rounded % 1 else f"{rounded:,.0f}"


def progress_text(done: float, total: float, unit: str | None) -> str:
    """'11.1 of 60 epochs'."""
    plural = "" if total == 1 else "s"
    return f"{tenths(done)} of {plain_number(total)} {unit or 'step'}{plural}"


def early_text(reason: str | None) -> str:
    """'ended early: no better for 2 epochs', from the reason that a trial which did keeps."""
    if not reason:
        return "ended early"
    return f"ended early: {reason[0].lower()}{reason[1:].rstrip('.')}"


def outcome_text(attempt: AttemptRow) -> str:
    """How an attempt ended; one that gave the trial back is called by what made it do so."""
    if attempt.outcome is None:
        return "running"
    if attempt.outcome == Outcome.RELEASED:
        return words(attempt.reason_kind) if attempt.reason_kind else "given back"
    return attempt.outcome


def bytes_value(value: int) -> str:
    """'812 B', '3.4 KiB', '12 MiB'."""
    if value < 1024:
        return f"{value} B"
    size = float(value)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024 or unit == "GiB":
            break
    return f"{size:.1f} {unit}" if size < 10 else f"{size:.0f} {unit}"


def spec_value(value: object) -> str:
    """A value of a spec, short: true, 0.001, [32, 16], name=1."""
    if value is None:
        return _DASH
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={spec_value(inner)}" for name, inner in value.items()) or _DASH
    return json.dumps(value, ensure_ascii=False)


def short_value(value: object) -> str:
    """A spec's value with at most four significant digits, where it need not be copied."""
    return f"{value:.4g}" if isinstance(value, float) else spec_value(value)


_WORDS = {"gflop_s": "throughput", "gb_s": "bandwidth"}


def words(name: str) -> str:
    """A name as people read it: 'val_accuracy' is 'val accuracy'."""
    return _WORDS.get(name, name.replace("_", " "))


def spec_subject(spec: Mapping[str, Any]) -> str:
    """What a spec runs: 'lenet5 on digits', 'dense_relu'."""
    base = spec.get("base", spec)
    if base.get("kind") == "benchmark":
        return str(base.get("kernel", ""))
    model, dataset = base.get("model", ""), base.get("dataset")
    return f"{model} on {dataset}" if dataset else str(model)


def experiment_title(row: Any) -> str:
    return str(row.name or spec_subject(row.spec))


def pretty_yaml(spec: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True, width=88)
    return text


def in_state_order(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return [(name, counts[name]) for name in STATE_ORDER if counts.get(name)]


def install(app: Flask) -> None:
    for function in (
        iso_time,
        plain_time,
        relative_time,
        duration,
        seconds_value,
        metric_value,
        plain_number,
        tenths,
        progress_text,
        early_text,
        outcome_text,
        bytes_value,
        spec_value,
        short_value,
        words,
        spec_subject,
        experiment_title,
        pretty_yaml,
        in_state_order,
    ):
        app.jinja_env.filters[function.__name__] = function
