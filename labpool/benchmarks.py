"""Benchmarks of one kernel beside each other: in order, each with its verdict against its first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labpool.verdicts import verdict

# In this order lines are sorted; what follows them varies how a kernel runs, not what it does.
_ASKED = ("device", "dtype")
_GROUPS = ("sizes", "launch")
_UNITS = {"memory": "gb_s", "arithmetic": "gflop_s"}


@dataclass(frozen=True, slots=True)
class Timed:
    """A benchmark that has a result. `device` is what it ran on, `spec` has every default."""

    trial: int
    device: str
    spec: Mapping[str, Any]
    metrics: Mapping[str, Any]
    summary: Mapping[str, Any]

    @property
    def device_name(self) -> str | None:
        """What its device is called; None where the result does not say."""
        about = self.summary.get(self.device)
        name = about.get("name") if isinstance(about, Mapping) else None
        return name if isinstance(name, str) else None

    @property
    def settings(self) -> dict[str, Any]:
        """What may differ between benchmarks of a kernel, by path: sizes.n, variant."""
        found = {
            "device": self.device,
            "dtype": self.spec.get("dtype"),
            "variant": self.spec.get("variant"),
        }
        for group in _GROUPS:
            inner = self.spec.get(group)
            if isinstance(inner, Mapping):
                found.update((f"{group}.{name}", value) for name, value in inner.items())
        return found


@dataclass(frozen=True, slots=True)
class Line:
    """One benchmark among others. `ways` is how the kernel ran, as far as the lines differ in it.

    `against` is the trial that `verdict` compares with: the first of the same work on the same
    device; both are None for that trial itself.
    """

    timed: Timed
    sizes: Mapping[str, Any]
    work: Mapping[str, Any]
    ways: Mapping[str, Any]
    against: int | None
    verdict: str | None


def lines_of(found: Iterable[Timed]) -> list[Line]:
    """Lines by device, type and size; within these in the order of the trials.

    A device is cpu or gpu, and where there are several such, what it is called: a verdict between
    two of them would be about the devices. Of several trials with the same settings the newest
    counts, as a retry replaces what it repeats.
    """
    newest: dict[str, Timed] = {}
    for timed in sorted(found, key=lambda one: one.trial):
        called = {**timed.settings, "device_name": timed.device_name}
        newest[json.dumps(called, sort_keys=True, default=str)] = timed
    every = _with_names([*newest.values()])
    settings = [one for _, one in every]
    names = dict.fromkeys(name for one in settings for name in one)
    differing = [
        name for name in names if any(one.get(name) != settings[0].get(name) for one in settings)
    ]
    every.sort(key=lambda one: _order(one[1], differing))
    firsts: dict[str, Timed] = {}
    return [_line(timed, one, differing, firsts) for timed, one in every]


def way_text(ways: Mapping[str, Any]) -> str:
    """'tiled, threads=128': how a kernel ran."""
    return ", ".join(
        f"{name.removeprefix('launch.')}={value}" if name.startswith("launch.") else str(value)
        for name, value in ways.items()
    )


def size_text(sizes: Mapping[str, Any]) -> str:
    """'1,048,576' of a kernel with one size, 'rows=512, columns=512' of others."""
    if len(sizes) == 1:
        return "".join(_whole(value) for value in sizes.values())
    return ", ".join(f"{name}={_whole(value)}" for name, value in sizes.items())


def telling_rate(lines: Sequence[Line]) -> str:
    """The metric that says how well these do: gb_s where memory holds them back, else gflop_s.

    Where no roofline was measured: below one operation a byte no processor is short of arithmetic.
    """
    votes = [_UNITS.get(str(roofline_of(line.timed).get("limit"))) for line in lines]
    known = [vote for vote in votes if vote]
    if known:
        return max(dict.fromkeys(known), key=known.count)
    shares = [_intensity(line.timed) for line in lines]
    return "gb_s" if all(share is not None and share < 1 for share in shares) else "gflop_s"


def roofline_of(timed: Timed) -> Mapping[str, Any]:
    """The summary's roofline; empty where none was measured."""
    found = timed.summary.get("roofline")
    return found if isinstance(found, Mapping) else {}


def _with_names(found: Sequence[Timed]) -> list[tuple[Timed, dict[str, Any]]]:
    """Each with its settings, in which a device has its name where there are several such."""
    names: dict[str, set[str | None]] = {}
    for timed in found:
        names.setdefault(timed.device, set()).add(timed.device_name)
    return [
        (timed, {**timed.settings, "device": timed.device_name or f"{timed.device}, not named"})
        if len(names[timed.device]) > 1
        else (timed, timed.settings)
        for timed in found
    ]


def _line(
    timed: Timed, given: Mapping[str, Any], differing: Sequence[str], firsts: dict[str, Timed]
) -> Line:
    settings = {name: given.get(name) for name in differing}
    ways = {name: value for name, value in settings.items() if _is_way(name)}
    work = {name: value for name, value in settings.items() if not _is_way(name)}
    first = firsts.setdefault(json.dumps(work, sort_keys=True, default=str), timed)
    alone = first is timed
    sizes = timed.spec.get("sizes")
    return Line(
        timed=timed,
        sizes=sizes if isinstance(sizes, Mapping) else {},
        work=work,
        ways=ways,
        against=None if alone else first.trial,
        verdict=None if alone else verdict(first.metrics, timed.metrics),
    )


def _is_way(name: str) -> bool:
    return name == "variant" or name.startswith("launch.")


def _order(settings: Mapping[str, Any], differing: Sequence[str]) -> tuple[Any, ...]:
    words = tuple(str(settings.get(name)) for name in _ASKED if name in differing)
    sizes = tuple(
        value if isinstance(value := settings.get(name), int | float) else 0
        for name in differing
        if name.startswith("sizes.")
    )
    return words, sizes


def _intensity(timed: Timed) -> float | None:
    operations, size = timed.summary.get("operations"), timed.summary.get("bytes")
    if isinstance(operations, int | float) and isinstance(size, int | float) and size:
        return float(operations / size)
    return None


def _whole(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
