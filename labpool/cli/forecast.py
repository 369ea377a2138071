"""What a submission would cost and whom it would delay, printed for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labpool.cli.output import printable
from labpool.durations import duration


def print_forecast(found: Mapping[str, Any]) -> None:
    """The service's forecast in lines; nothing has been stored."""
    lines = [("trials", str(found["trial_count"])), *_cost(found), *_end(found)]
    if found.get("together"):
        lines.append(("together", found["together"]["sentence"]))
    lines += [("delays", _delay(row)) for row in found["delays"]]
    if not found["delays"] and found["finish_s"] is not None:
        lines.append(("delays", "nobody"))
    lines.append(("arithmetic", found["arithmetic"]))
    if found["lacking"]:
        lines.append(("lacking", found["lacking"]))
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        print(f"{name:<{width}}  {printable(text)}")


def _cost(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    seconds = found["slot_seconds"]
    name = "GPU-hours" if found["devices"] == ["gpu"] else "slot-hours"
    if seconds is None:
        return [(name, "not known")]
    lines = [(name, _hours(seconds))]
    least, most = found.get("least_slot_seconds"), found.get("most_slot_seconds")
    if least is not None and most is not None:
        lines.append(("pruned", f"between {_hours(least)} and {_hours(most)}"))
    return lines


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.3g} ({duration(seconds)})"


def _end(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    if found["finish_s"] is None:
        return [("done", "not known")]
    slots = found["able_slots"]
    return [("done", f"in about {duration(found['finish_s'])} on {slots} slot{'s' * (slots != 1)}")]


def _delay(row: Mapping[str, Any]) -> str:
    trials = f"{row['trials']} waiting trial{'s' * (row['trials'] != 1)}"
    return f"{trials} of {row['owner']} by up to {duration(row['seconds'])}"
