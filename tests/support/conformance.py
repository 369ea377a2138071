"""What the conformance tests put to every model of the catalog, found from its TOML alone.

A folder in `catalog/models` is tested by being there. Where a newcomer needs more than its TOML
says, there are two tables: `QUICK` makes a costly model small, `VALUES` says what to try of a
parameter of a new type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from labpool.catalog import DatasetEntry, ModelEntry
from labpool.errors import SpecError
from labpool.parameters import (
    BooleanParameter,
    ChoiceParameter,
    IntegersParameter,
    LayersParameter,
    Parameter,
)
from labpool.planning import TrialPlan, plan
from tests.support.runners import CATALOG

EXAMPLES: Final = 120
"""Of data sets that come in any size."""

QUICK: Final[Mapping[str, Mapping[str, Any]]] = {
    "dqn": {"parameters": {"steps_per_epoch": 300, "learn_after": 50, "memory": 500}},
    # Its one output neuron tells two classes apart, which no TOML says.
    "ten_lines": {"dataset": "xor", "parameters": {"steps_per_epoch": 300}},
}
"""By model: what to write into its spec so that two epochs take seconds. A data set that is named
is the only one that the model is tried on."""


def _integers(parameter: IntegersParameter) -> list[Any]:
    return [[], [int(parameter.minimum or 1)] * parameter.max_items]


def _layers(parameter: LayersParameter) -> list[Any]:
    flat = {"type": "Flatten"}
    return [parameter.default, [flat], [flat, *[{"type": "Dropout", "rate": 0.1}] * 31]]


VALUES: Final[Mapping[type[Any], Callable[[Any], list[Any]]]] = {
    ChoiceParameter: lambda parameter: list(parameter.choices),
    BooleanParameter: lambda _: [True, False],
    IntegersParameter: _integers,
    LayersParameter: _layers,
}


def values_at_the_bounds(parameter: Parameter) -> list[Any]:
    """Every choice, or what lies at the bounds."""
    values_of = VALUES.get(type(parameter))
    if values_of is not None:
        return values_of(parameter)
    # A number, whose bounds are written as floats in a TOML file for integers too.
    kind = type(parameter.default)
    bounds = (getattr(parameter, "minimum", None), getattr(parameter, "maximum", None))
    return [kind(bound) for bound in bounds if bound is not None]


def values_out_of_range(parameter: Parameter) -> Iterator[Any]:
    """What must be refused: beside the bounds, of another type, not finite."""
    kind = type(parameter.default)
    for bound, beside in (("minimum", -1), ("maximum", 1)):
        limit = getattr(parameter, bound, None)
        if limit is not None:
            value = kind(limit + beside) if kind in (int, float) else [int(limit) + beside]
            yield value
    if isinstance(parameter, IntegersParameter):
        yield [int(parameter.minimum or 1)] * (parameter.max_items + 1)
    # Nothing of these is a value of any type; a choice is text, so text is of a choice's type.
    yield from (None, {"__class__": 1}, float("nan"), float("inf"), "no such value", [None])


def is_network(entry: ModelEntry) -> bool:
    """Whether labpool trains it, step by step; a program trains itself."""
    return entry.program is None


NETWORKS: Final = {name: one for name, one in CATALOG.models.items() if is_network(one)}
PROGRAMS: Final = {name: one for name, one in CATALOG.models.items() if not is_network(one)}


def small(dataset: DatasetEntry) -> dict[str, Any]:
    """Parameters that make a data set small, where it comes in any size."""
    examples = dataset.parameters.get("examples")
    least = getattr(examples, "minimum", None)
    return {} if examples is None else {"examples": max(EXAMPLES, int(least or 0))}


def spec_of(entry: ModelEntry, dataset: DatasetEntry | None, **more: Any) -> dict[str, Any]:
    """A short run of a model at its defaults; `parameters` go over those that make it quick."""
    quick = dict(QUICK.get(entry.name, {}))
    parameters = {**quick.pop("parameters", {}), **more.pop("parameters", {})}
    data: dict[str, Any] = {}
    if dataset is not None:
        data = {"dataset": dataset.name, "dataset_parameters": small(dataset)}
    return {
        "kind": "train", "model": entry.name, "epochs": 2, **data, **quick, **more,
        "parameters": parameters,
    }  # fmt: skip


def planned(spec: dict[str, Any]) -> TrialPlan:
    """The one trial of a spec. Raises SpecError."""
    return plan(spec, CATALOG).trials[0]


def suiting(entry: ModelEntry) -> list[DatasetEntry | None]:
    """The data sets that a spec may give a model, small ones first; None where it takes none."""
    only = QUICK.get(entry.name, {}).get("dataset")
    if only is not None:
        return [CATALOG.datasets[only]]
    # Those whose files are fetched are not on every machine.
    here = (dataset for dataset in CATALOG.datasets.values() if dataset.files is None)
    ordered = sorted(here, key=lambda dataset: not small(dataset))
    candidates: list[DatasetEntry | None] = [*ordered, None]
    found = [one for one in candidates if _is_accepted(spec_of(entry, one))]
    assert found, f"no data set of the catalog suits {entry.name}"
    return found


def _is_accepted(spec: dict[str, Any]) -> bool:
    try:
        planned(spec)
    except SpecError:
        return False
    return True
