"""A sweep's space against its base, and the trials it expands to."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from labpool.catalog import Catalog
from labpool.errors import Problem, pointer
from labpool.form import form_problems
from labpool.objective import objective_problems
from labpool.origins import LAYER_FIELDS
from labpool.parameters import LayersParameter
from labpool.repeating import repeat_problems
from labpool.resolving import catalog_problems
from labpool.search import Create, advance, check, count
from labpool.search.grid import values_of
from labpool.spec import FORMS, MOST_AXES, Range, SweepSpec, TrainSpec
from labpool.suggest import closest

# One answer need not name more than people read, and checking has a price.
MOST_PROBLEMS = 100
# What names a trial rather than changing what it does.
NOT_VARIED = {"kind", "name", "notes", "tags", "priority", "repeat", "source", "fuse"}


@dataclass(frozen=True, slots=True)
class Expanded:
    """Trial ``number`` of a sweep as a spec of its own."""

    number: int
    values: Mapping[str, Any]
    raw: dict[str, Any]


def expand(spec: SweepSpec) -> Iterator[Expanded]:
    """The trials a sweep begins with, in order."""
    for action in advance(spec, ()):
        if isinstance(action, Create):
            yield expanded(spec, action)


def expanded(spec: SweepSpec, create: Create) -> Expanded:
    """One trial that the search wants made."""
    raw = spec.base.model_dump(mode="json", exclude_unset=True, exclude={"repeat", "fuse"})
    for path, value in create.values.items():
        _put(raw, path, value)
    if isinstance(spec.base, TrainSpec):
        raw["fuse"] = spec.fuse or spec.base.fuse or "off"
    return Expanded(create.number, create.values, raw)


def sweep_problems(raw: Mapping[str, Any], catalog: Catalog, max_trials: int) -> list[Problem]:
    """What is wrong with a sweep beyond its form."""
    base = raw.get("base")
    if not isinstance(base, dict) or base.get("kind") not in ("train", "benchmark"):
        return []  # the form says so
    problems = catalog_problems(base, catalog, "base")
    space = raw.get("space")
    if isinstance(space, dict):
        # The form refuses more axes than it allows; their values are then not looked at.
        for path, axis in list(space.items())[:MOST_AXES]:
            if len(problems) < MOST_PROBLEMS:
                problems += _axis_problems(base, path, axis, catalog)
    problems += repeat_problems(base, "base", space=space)
    if base["kind"] == "benchmark" and raw.get("fuse", "off") not in ("off", None):
        message = "is for training runs: timings are taken one at a time."
        problems.append(Problem(pointer("fuse"), message, "Leave it out."))
    try:
        spec = SweepSpec.model_validate(raw)
    except ValidationError:
        return problems  # the form says so
    if not problems:
        problems = objective_problems(spec, catalog)
    return problems + _size_problems(spec, max_trials)


def _size_problems(spec: SweepSpec, max_trials: int) -> list[Problem]:
    if problems := check(spec):
        return problems
    times, comes_to = getattr(spec.base, "repeat", 1), count(spec)
    if comes_to <= max_trials:
        return []
    where = "/space" if spec.strategy.method == "grid" else "/strategy/trials"
    made = f"{comes_to} trials" if times == 1 else f"{comes_to // times} times {times} trials"
    message = f"comes to {made}, where a sweep may have {max_trials}."
    fewer = "Take fewer values or fewer axes" + (", or repeat each less." if times > 1 else ".")
    return [Problem(where, message, fewer)]


def _axis_problems(
    base: Mapping[str, Any], path: str, axis: Any, catalog: Catalog
) -> list[Problem]:
    form = FORMS[base["kind"]]
    head, _, rest = path.partition(".")
    known = set(form.model_fields) - NOT_VARIED
    nested = {"parameters", "dataset_parameters", "sizes", "launch"} & known
    if head not in known or bool(rest) != (head in nested) or "." in rest:
        names = sorted((known - nested) | {f"{group}.NAME" for group in nested})
        hint = closest(path, known - nested) or f"It can be {', '.join(names)}."
        return [Problem(pointer("space", path), "is nothing that a trial can vary in.", hint)]
    if head in nested and not isinstance(base.get(head, {}), dict):
        return []  # the base's own problem
    if _is_list_of_layers(base, head, rest, catalog):
        message = "is a list of layers, which a sweep cannot vary."
        return [Problem(pointer("space", path), message, "Submit each list as a run of its own.")]
    problems: list[Problem] = []
    seen: set[str] = set()
    # The value is checked beside what it depends on, not beside all that the base says.
    beside = {name: base[name] for name in ("kind", "model", "dataset", "kernel") if name in base}
    for at, value in _values(path, axis):
        if len(problems) >= MOST_PROBLEMS:
            break
        meant = _meant(head, value)
        if meant in seen:
            problems.append(Problem(at, f"{json.dumps(value)} stands in the list twice."))
        seen.add(meant)
        problems += _value_problems(beside, path, value, at, catalog)
    return problems


def _meant(head: str, value: Any) -> str:
    """The same text for two values that make the same trial."""
    if head in LAYER_FIELDS and isinstance(value, list):
        return json.dumps(sorted({json.dumps(name) for name in value}))
    return json.dumps(value)


def _is_list_of_layers(base: Mapping[str, Any], head: str, name: str, catalog: Catalog) -> bool:
    model = base.get("model")
    entry = catalog.models.get(model) if isinstance(model, str) else None
    declared = entry.parameters if entry and head == "parameters" else {}
    return isinstance(declared.get(name), LayersParameter)


def _values(path: str, axis: Any) -> list[tuple[str, Any]]:
    """Each value to try on the base, with its pointer in the sweep."""
    if isinstance(axis, list):
        return [(pointer("space", path, index), value) for index, value in enumerate(axis)]
    try:
        limits = Range.model_validate(axis)
    except ValidationError:
        return []  # the form says so
    ends = [(pointer("space", path, end), getattr(limits, end)) for end in ("low", "high")]
    whole = isinstance(limits.low, int) and isinstance(limits.high, int)
    inner = values_of(limits)[1:-1][:1] if limits.steps and not whole else []
    return ends + [(pointer("space", path), value) for value in inner]


def _value_problems(
    base: Mapping[str, Any], path: str, value: Any, at: str, catalog: Catalog
) -> list[Problem]:
    raw = copy.deepcopy(dict(base))
    _put(raw, path, value)
    target = pointer(*path.split("."))
    found = form_problems(FORMS[raw["kind"]], raw) + catalog_problems(raw, catalog)
    named = [problem for problem in found if f"{problem.pointer}/".startswith(f"{target}/")]
    return [Problem(at, problem.message, problem.suggestion) for problem in named[:1]]


def _put(raw: dict[str, Any], path: str, value: Any) -> None:
    head, _, rest = path.partition(".")
    if rest:
        raw.setdefault(head, {})[rest] = value
    else:
        raw[head] = value
