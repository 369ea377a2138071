"""What a catalog entry lets its users set: typed, bounded, with a default and a meaning."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from labpool import layers
from labpool.errors import Problem, pointer
from labpool.suggest import closest

LARGEST = 2**63 - 1

_FORM = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Bounded(BaseModel):
    model_config = _FORM
    meaning: str
    minimum: float | None = None
    maximum: float | None = None

    def out_of_range(self, value: float) -> str | None:
        """Why ``value`` is out of range, or None."""
        if isinstance(value, int) and abs(value) > LARGEST:
            return "must fit into 64 bits."
        if self.minimum is not None and value < self.minimum:
            return f"must be at least {_written(self.minimum)}, not {_written(value)}."
        if self.maximum is not None and value > self.maximum:
            return f"must be at most {_written(self.maximum)}, not {_written(value)}."
        return None


class IntegerParameter(_Bounded):
    type: Literal["integer"]
    default: int

    def refuse(self, value: Any) -> str | None:
        """Why ``value`` is refused, or None."""
        if isinstance(value, bool) or not isinstance(value, int):
            return f"must be a whole number, not {_shown(value)}."
        return self.out_of_range(value)


class NumberParameter(_Bounded):
    type: Literal["number"]
    default: float
    fused: Literal["chance", "start"] | None = None
    """What of the network it sets, where trials that differ in it can be trained together."""

    def refuse(self, value: Any) -> str | None:
        """Why ``value`` is refused, or None."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"must be a number, not {_shown(value)}."
        try:
            finite = math.isfinite(value)
        except OverflowError:
            finite = False
        return self.out_of_range(value) if finite else "must be a finite number."


class BooleanParameter(BaseModel):
    model_config = _FORM
    type: Literal["boolean"]
    default: bool
    meaning: str

    def refuse(self, value: Any) -> str | None:
        """Why ``value`` is refused, or None."""
        return None if isinstance(value, bool) else f"must be true or false, not {_shown(value)}."


class ChoiceParameter(BaseModel):
    model_config = _FORM
    type: Literal["choice"]
    choices: list[str] = Field(min_length=1)
    default: str
    meaning: str
    fused: Literal["start"] | None = None

    def refuse(self, value: Any) -> str | None:
        """Why ``value`` is refused, or None."""
        if value in self.choices and isinstance(value, str):
            return None
        return f"must be one of {', '.join(self.choices)}, not {_shown(value)}."


class IntegersParameter(_Bounded):
    type: Literal["integers"]
    default: list[int]
    max_items: int = Field(ge=1)

    def refuse(self, value: Any) -> str | None:
        """Why ``value`` is refused, or None."""
        if not isinstance(value, list):
            return f"must be a list of whole numbers, not {_shown(value)}."
        if len(value) > self.max_items:
            return f"must hold at most {self.max_items} numbers, not {len(value)}."
        for item in value:
            if isinstance(item, bool) or not isinstance(item, int):
                return f"must hold whole numbers only, not {_shown(item)}."
            if (reason := self.out_of_range(item)) is not None:
                return f"each number {reason}"
        return None


class LayersParameter(BaseModel):
    """A network, layer by layer; `labpool.layers` says which layers there are."""

    model_config = _FORM
    type: Literal["layers"]
    default: list[dict[str, Any]]
    meaning: str

    def refuse(self, value: Any) -> str | None:
        """Why ``value`` is refused, or None."""
        problems = layers.read(value)[1]
        return f"{problems[0].pointer} {problems[0].message}".strip() if problems else None


Parameter = Annotated[
    IntegerParameter
    | NumberParameter
    | BooleanParameter
    | ChoiceParameter
    | IntegersParameter
    | LayersParameter,
    Field(discriminator="type"),
]
PARAMETERS: TypeAdapter[dict[str, Parameter]] = TypeAdapter(dict[str, Parameter])
"""What a catalog entry's TOML has under `parameters`."""


class Size(_Bounded):
    """A whole number with bounds, as kernels declare their sizes and launch parameters."""

    minimum: int
    maximum: int
    default: int

    @model_validator(mode="after")
    def _default_fits(self) -> Size:
        if (reason := self.refuse(self.default)) is not None:
            raise ValueError(f"the default {reason}")
        return self

    def refuse(self, value: Any) -> str | None:
        """Why ``value`` is refused, or None."""
        if isinstance(value, bool) or not isinstance(value, int):
            return f"must be a whole number, not {_shown(value)}."
        return self.out_of_range(value)


def fill(
    declared: dict[str, Any], given: Any, *where: str | int, of: str
) -> tuple[dict[str, Any], list[Problem]]:
    """``given`` checked against ``declared``, every default filled in, and what is wrong.

    ``where`` is the path of ``given`` in the spec, ``of`` says whose parameters these are.
    """
    if not isinstance(given, dict):
        return {}, [Problem(pointer(*where), "must be a table of names and values.")]
    problems = []
    for name in given:
        if name not in declared:
            hint = closest(name, declared)
            known = f"It has {', '.join(sorted(declared))}." if declared else "It has none."
            problems.append(Problem(pointer(*where, name), f"is not known to {of}.", hint or known))
    values = {}
    for name, parameter in declared.items():
        values[name] = given.get(name, parameter.default)
        if isinstance(parameter, LayersParameter):
            values[name], found = layers.read(values[name], *where, name)
            problems += found
        elif name in given and (reason := parameter.refuse(given[name])) is not None:
            problems.append(Problem(pointer(*where, name), reason, parameter.meaning))
        elif isinstance(parameter, NumberParameter):
            values[name] = float(values[name])
    return values, problems


def _written(number: float) -> str:
    """In full: of six digits 500,000,001 would be the 5e+08 that it exceeds."""
    whole = float(number).is_integer() and abs(number) < 1e15
    return f"{number:,.0f}" if whole else repr(number)


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else f"{value}"
    return text if len(text) <= 60 else f"{text[:57]}..."
