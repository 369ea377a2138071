"""What an answer to "why does it wait" comes from, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labpool.durations import duration


def why_lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, its words) of everything that applies. `found` is the API's answer."""
    lines = [
        ("ahead", _ahead(found)),
        ("turn", _turn(found)),
        ("estimate", found["arithmetic"]),
        ("by age", _by_age(found)),
        ("together", found.get("together") or ""),
    ]
    return [(name, text) for name, text in lines if text]


def _ahead(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{row['count']} of {row['owner']}" for row in found["ahead_of"])


def _turn(found: Mapping[str, Any]) -> str:
    if found["next"] is None:
        return ""
    own = f"{found['owner']['owner']} {_holds(found['owner'])}"
    if found["next"]["owner"] == found["owner"]["owner"]:
        return f"{own}; the next slot is theirs"
    return f"{own}; next is {found['next']['owner']}, who {_holds(found['next'])}"


def _holds(held: Mapping[str, Any]) -> str:
    slots = f"{held['running']} slot{'' if held['running'] == 1 else 's'}"
    if held["max_running"] is not None:
        slots += f" of at most {held['max_running']}"
    share = "" if held["share"] == 1 else f" with share {held['share']:g}"
    return f"holds {slots} and used {duration(held['used_s'])}{share}"


def _by_age(found: Mapping[str, Any]) -> str:
    if found["by_age_s"] is None:
        return ""
    if found["by_age_s"] <= 0:
        return "waits long enough to be taken out of turn"
    return f"may be taken out of turn in {duration(found['by_age_s'])}"
