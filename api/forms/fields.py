"""One input of the form: from a property of the spec's schema or a parameter of the catalog."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from api.forms.text import flow
from labpool.errors import pointer
from labpool.layers import MOST_LAYERS
from labpool.parameters import (
    BooleanParameter,
    ChoiceParameter,
    IntegersParameter,
    LayersParameter,
    Parameter,
    Size,
)

FieldType = Literal[
    "integer",
    "number",
    "boolean",
    "choice",
    "integers",
    "text",
    "long_text",
    "words",
    "layers",
    "word_or_integer",
]
_TYPE_WORDS = {
    "integer": "whole number",
    "number": "number",
    "integers": "whole numbers, commas between them",
    "words": "commas between them",
    "word_or_integer": "or a whole number",
}
_LONG_TEXT = 200


@dataclass(frozen=True, slots=True)
class Field:
    """An input. What is left empty is left out of the spec, and `default` then applies."""

    pointer: str
    type: FieldType
    label: str
    meaning: str
    value: str = ""
    default: str = ""
    limits: str = ""
    choices: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return field_id(self.pointer)

    @property
    def path(self) -> str:
        """The dotted path by which a sweep varies it; without the base."""
        parts = self.pointer.removeprefix("/base").strip("/").split("/")
        return ".".join(part.replace("~1", "/").replace("~0", "~") for part in parts)

    @property
    def options(self) -> tuple[str, ...]:
        """The choices, and a value that is none of them so that it can be seen and mended."""
        known = ("true", "false") if self.type == "boolean" else self.choices
        return known if not self.value or self.value in known else (*known, self.value)


def field_id(where: str) -> str:
    """The id of the element for a JSON pointer: safe in `aria-describedby` and in addresses."""
    return "field" + re.sub(
        r"[^A-Za-z0-9_]",
        lambda match: "-" if match[0] == "/" else f".{ord(match[0]):x}.",
        where,
    )


def text_of(value: Any) -> str:
    """What an input shows of a value of the spec."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        # An empty list is not "left out": it has to be seen.
        return ", ".join(text_of(item) for item in value) or "[]"
    return flow(value)


def _layers_text(value: Any) -> str:
    """A layer a line, in brackets as they are read back."""
    if not isinstance(value, list):
        return text_of(value)
    return f"[{(',' + chr(10) + ' ').join(flow(layer) for layer in value)}]"


def _default_text(value: Any) -> str:
    """A default as people say it: 3600, not 3600.0."""
    return f"{value:.12g}" if isinstance(value, float) else text_of(value)


def label_of(name: str) -> str:
    """'batch_size' is 'Batch size', 'time_limit_s' is 'Time limit (seconds)'."""
    unit = " (seconds)" if name.endswith("_s") else ""
    words = name.removesuffix("_s") if unit else name
    return words.replace("_", " ").capitalize() + unit


def property_field(
    name: str, schema: Mapping[str, Any], value: Any, *where: str, default: Any = None
) -> Field:
    """The input for a property of the spec's JSON Schema. `default` is the catalog's."""
    found = _without_null(schema)
    words, kind = tuple(str(choice) for choice in found.get("enum", ())), _type_of(found)
    if kind == "choice" and (numbers := _integer_branch(schema)) is not None:
        found, kind = numbers, "word_or_integer"
    limits = _limits(
        kind, found.get("minimum"), found.get("maximum"), found.get("exclusiveMinimum")
    )
    if default is None:
        default = schema.get("default")
    return Field(
        pointer=pointer(*where, name),
        type=kind,
        label=label_of(name),
        meaning=str(schema.get("description", "")),
        value=text_of(value),
        default="" if default in (None, "", []) else _default_text(default),
        limits=f"{', '.join(words)}, {limits}" if kind == "word_or_integer" else limits,
        choices=words,
    )


def parameter_field(name: str, parameter: Parameter | Size, value: Any, *where: str) -> Field:
    """The input for what a catalog entry lets its users set."""
    kind: FieldType = "integer" if isinstance(parameter, Size) else parameter.type
    if isinstance(parameter, BooleanParameter | ChoiceParameter):
        limits = ""
    elif isinstance(parameter, LayersParameter):
        limits = f"in square brackets, commas between them, at most {MOST_LAYERS} of them"
    else:
        limits = _limits(kind, parameter.minimum, parameter.maximum)
        if isinstance(parameter, IntegersParameter):
            limits += f", at most {parameter.max_items} of them"
    return Field(
        pointer=pointer(*where, name),
        type=kind,
        label=label_of(name),
        meaning=parameter.meaning,
        value=_layers_text(value) if kind == "layers" else text_of(value),
        default=flow(parameter.default) if kind == "layers" else _default_text(parameter.default),
        limits=limits,
        choices=tuple(parameter.choices) if isinstance(parameter, ChoiceParameter) else (),
    )


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    branches = [branch for branch in schema.get("anyOf", ()) if branch.get("type") != "null"]
    return branches[0] if branches else schema


def _integer_branch(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((one for one in schema.get("anyOf", ()) if one.get("type") == "integer"), None)


def _type_of(schema: Mapping[str, Any]) -> FieldType:
    if "enum" in schema:
        return "choice"
    match schema.get("type"):
        case "integer":
            return "integer"
        case "number":
            return "number"
        case "boolean":
            return "boolean"
        case "array":
            return "words"
        case _:
            return "long_text" if schema.get("maxLength", 0) > _LONG_TEXT else "text"


def _limits(
    kind: FieldType, least: float | None, most: float | None, above: float | None = None
) -> str:
    words = _TYPE_WORDS.get(kind, "")
    if least is not None and most is not None:
        return f"{words}, {least:,.12g} to {most:,.12g}"
    parts = [words] if words else []
    if above is not None:
        parts.append(f"above {above:,.12g}")
    if least is not None:
        parts.append(f"at least {least:,.12g}")
    if most is not None:
        parts.append(f"at most {most:,.12g}")
    return ", ".join(parts)
