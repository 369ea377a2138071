"""The part of the form that says what a sweep varies, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from api.forms.fields import Field, field_id, text_of
from api.forms.searching import Shown, drawing, searching
from api.forms.text import flow
from labpool.errors import pointer
from labpool.spec import FORMS
from labpool.strategy_form import STRATEGY_FORMS
from labpool.sweeping import NOT_VARIED

METHODS = {name: (form.__doc__ or "").strip() for name, form in STRATEGY_FORMS.items()}


@dataclass(frozen=True, slots=True)
class Path:
    """Something that a sweep can vary."""

    value: str
    label: str
    group: str
    type: str


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that is varied: by a list of values, or within a range."""

    path: str
    form: Literal["values", "range"]
    values: str = ""
    low: str = ""
    high: str = ""
    scale: str = "linear"
    steps: str = ""

    @property
    def pointer(self) -> str:
        return pointer("space", self.path)

    @property
    def id(self) -> str:
        return field_id(self.pointer)


@dataclass(frozen=True, slots=True)
class SweepForm:
    """How trials are picked, and from what."""

    method: str
    methods: Mapping[str, str]
    drawing: tuple[Shown, ...]
    search: tuple[Shown, ...]
    axes: tuple[Axis, ...]
    paths: tuple[Path, ...]

    @property
    def groups(self) -> dict[str, list[Path]]:
        """What can be varied, by the group it stands in."""
        found: dict[str, list[Path]] = {}
        for path in self.paths:
            found.setdefault(path.group, []).append(path)
        return found

    def knows(self, path: str) -> bool:
        """Whether `path` can be varied."""
        return any(known.value == path for known in self.paths)

    @property
    def pointers(self) -> tuple[str, ...]:
        own = ("/strategy/method", "/space")
        drawn = tuple(one.field.pointer for one in (*self.drawing, *self.search))
        return (*own, *drawn, *(axis.pointer for axis in self.axes))


def sweep_form(
    data: Mapping[str, Any], runs: str, groups: Sequence[tuple[str, Sequence[Field]]]
) -> SweepForm:
    """The sweep's own inputs; `groups` are titles and fields of its base, of the kind `runs`."""
    strategy = data.get("strategy")
    strategy = strategy if isinstance(strategy, Mapping) else {}
    space = data.get("space")
    space = space if isinstance(space, Mapping) else {}
    return SweepForm(
        method=str(strategy.get("method", "grid")),
        methods=METHODS,
        drawing=drawing(strategy),
        search=searching(data, strategy, runs),
        axes=tuple(_axis(str(path), given) for path, given in space.items()),
        paths=tuple(
            Path(field.path, field.label, title, field.type)
            for title, fields in groups
            for field in fields
            if field.path not in NOT_VARIED
            and field.path.count(".") <= 1
            and field.type != "layers"
        ),
    )


def choosing_paths(runs: str) -> list[str]:
    """The names of the base's catalog entries, which a sweep can vary as well."""
    names = ("model", "dataset") if runs == "train" else ("kernel",)
    return [name for name in names if name in FORMS[runs].model_fields]


def _axis(path: str, given: Any) -> Axis:
    if isinstance(given, Mapping):
        texts = {name: text_of(given.get(name)) for name in ("low", "high", "steps")}
        return Axis(path, "range", scale=text_of(given.get("scale")) or "linear", **texts)
    if isinstance(given, list):
        return Axis(path, "values", values=", ".join(flow(item) for item in given))
    return Axis(path, "values", values=text_of(given))
