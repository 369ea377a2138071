"""The spec that the options of `labpool bench` stand for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from labpool.suggest import closest

DEVICES = ("any", "cpu", "gpu")
MOST_POINTS = 1000
_SIZES = "--sizes"
_LAUNCH = "--launch"


@dataclass
class Asked:
    """The options as they were written; `notes` are for the person, about what was changed."""

    kernel: str
    sizes: Sequence[str] = ()
    variants: str | None = None
    launch: Sequence[str] = ()
    dtypes: str | None = None
    devices: str = "any"
    samples: int | None = None
    source: str | None = None
    notes: list[str] = field(default_factory=list)

    def spec(self, kernels: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """A benchmark, or a grid over whatever was given several values.

        `kernels` are the catalog's. Raises click.BadParameter, which names the option.
        """
        about = _entry(self.kernel, kernels)["details"]
        axes: dict[str, list[Any]] = {
            "device": _words("--device", self.devices, DEVICES),
            "dtype": _words("--dtype", self.dtypes, about["dtypes"]),
        }
        for name, text in self._named(_SIZES, self.sizes, about["sizes"]).items():
            values = numbers(_SIZES, text)
            inside = self._within(name, values, about["sizes"][name]) if ":" in text else values
            axes[f"sizes.{name}"] = inside
        axes["variant"] = _words("--variant", self.variants, about["variants"], every="all")
        for name, text in self._named(_LAUNCH, self.launch, about.get("launch", {})).items():
            axes[f"launch.{name}"] = numbers(_LAUNCH, text)
        return _written(self.kernel, axes, self.samples, self.source)

    def _named(self, option: str, given: Sequence[str], known: Mapping[str, Any]) -> dict[str, str]:
        """What was written behind each name; a kernel with one name needs none."""
        found: dict[str, str] = {}
        for text in given:
            name, equals, values = text.rpartition("=")
            if not equals:
                name = _only_name(option, self.kernel, known)
            if name not in known:
                raise _bad(option, f"{self.kernel} has no {name!r}; {_offer(name, known)}")
            if name in found:
                raise _bad(option, f"{name} is given twice; write its values behind one =.")
            found[name] = values
        return found

    def _within(self, name: str, values: list[int], bounds: Mapping[str, Any]) -> list[int]:
        """A range ends where the kernel's sizes do; single values are the service's to refuse."""
        least, most = int(bounds["minimum"]), int(bounds["maximum"])
        goes = f"{name} of {self.kernel} goes from {least:,} to {most:,}"
        if values[0] > most or values[-1] < least:
            raise _bad(_SIZES, f"{goes}.")
        kept = sorted({min(max(value, least), most) for value in values})
        if kept != values:
            self.notes.append(f"{goes}: the range ends there.")
        return kept


def numbers(option: str, text: str) -> list[int]:
    """`1e6`, `1e6,3e6`, `1e3:1e6` (a point a decade) or `256:4096:5` (so many, evenly by ratio)."""
    if ":" not in text:
        return [_whole(option, part) for part in text.split(",")]
    parts = text.split(":")
    if len(parts) > 3 or "," in text:
        raise _bad(option, f"{text!r} is no range; write LOW:HIGH or LOW:HIGH:POINTS.")
    low, high = _whole(option, parts[0]), _whole(option, parts[1])
    if not 0 < low < high:
        raise _bad(option, f"{text!r}: the first must be above 0 and less than the second.")
    if len(parts) == 2:
        decades = [low * 10**power for power in range(math.floor(math.log10(high / low)) + 2)]
        return [*(point for point in decades if point < high), high]
    count = _whole(option, parts[2])
    if not 2 <= count <= MOST_POINTS:
        raise _bad(option, f"{text!r}: a range has 2 to {MOST_POINTS:,} points.")
    points = {round(low * (high / low) ** (index / (count - 1))) for index in range(count)}
    return sorted(points | {low, high})


def _written(
    kernel: str, axes: Mapping[str, list[Any]], samples: int | None, source: str | None
) -> dict[str, Any]:
    base: dict[str, Any] = {"kind": "benchmark", "kernel": kernel}
    if samples is not None:
        base["samples"] = samples
    if source is not None:
        base["source"] = f"@{source}"
    space = {path: values for path, values in axes.items() if len(values) > 1}
    for path, values in axes.items():
        if len(values) == 1:
            group, _, name = path.rpartition(".")
            (base.setdefault(group, {}) if group else base)[name] = values[0]
    if not space:
        return base
    return {"kind": "sweep", "base": base, "strategy": {"method": "grid"}, "space": space}


def _entry(kernel: str, kernels: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    known = {entry["name"]: entry for entry in kernels}
    if kernel not in known:
        raise click.BadParameter(
            f"the catalog has no kernel {kernel!r}; {_offer(kernel, known)}", param_hint="KERNEL"
        )
    return known[kernel]


def _words(
    option: str, text: str | None, known: Iterable[str], every: str | None = None
) -> list[str]:
    if text is None:
        return []
    names = list(known)
    if every is not None and text == every:
        return names
    found = text.split(",")
    for word in found:
        if word not in names:
            raise _bad(option, f"there is no {word!r}; {_offer(word, names)}")
    return list(dict.fromkeys(found))


def _only_name(option: str, kernel: str, known: Mapping[str, Any]) -> str:
    if len(known) == 1:
        return next(iter(known))
    if not known:
        raise _bad(option, f"{kernel} has none to set.")
    raise _bad(option, f"{kernel} has {', '.join(known)}; write {option} {next(iter(known))}=…")


def _offer(word: str, known: Iterable[str]) -> str:
    names = list(known)
    return closest(word, names) or f"there is {', '.join(names) or 'none'}."


def _whole(option: str, text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value != int(value) or abs(value) > 2**53:
        raise _bad(option, f"{text.strip()!r} is no whole number; write 1024, 1e6 or 1e3:1e6.")
    return int(value)


def _bad(option: str, message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint=option)
