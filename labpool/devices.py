"""`device: [cpu, gpu]`: one run on each, written as the small sweep that it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from labpool.errors import Problem

_DESCRIBING: Final = ("name", "notes", "tags")


def unfold(raw: Mapping[str, Any]) -> dict[str, Any] | None:
    """The sweep over `device` that a train or benchmark spec with a list of them means, or None."""
    devices = raw.get("device")
    if raw.get("kind") not in ("train", "benchmark") or not isinstance(devices, list):
        return None
    said = {name: raw[name] for name in _DESCRIBING if name in raw}
    base = {name: value for name, value in raw.items() if name not in (*_DESCRIBING, "device")}
    return {
        "kind": "sweep",
        **said,
        "base": base,
        "strategy": {"method": "grid"},
        "space": {"device": devices},
    }


def fold_back(problems: Iterable[Problem]) -> list[Problem]:
    """Problems of the sweep, placed in the spec that it was unfolded from."""
    return [replace(problem, pointer=_placed(problem.pointer)) for problem in problems]


def _placed(pointer: str) -> str:
    for prefix in ("/base", "/space"):
        if pointer == prefix or pointer.startswith(f"{prefix}/"):
            return pointer.removeprefix(prefix)
    return pointer
