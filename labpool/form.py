"""From pydantic's list of errors to problems that name the field and the fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from labpool.errors import Problem, pointer
from labpool.origins import LAYER_FIELDS
from labpool.spec import BenchmarkSpec, SweepSpec, TrainSpec
from labpool.strategy_form import PRUNER_FORMS, STRATEGY_FORMS, Objective
from labpool.suggest import closest

# What a sweep says of its runs stands in its base.
_OF_ONE_RUN = frozenset({*TrainSpec.model_fields, *BenchmarkSpec.model_fields})


def form_problems(form: type[BaseModel], raw: dict[str, Any], *where: str | int) -> list[Problem]:
    """Everything that is wrong with ``raw`` as a ``form``, pointers beginning at ``where``."""
    try:
        form.model_validate(raw)
    except ValidationError as error:
        found = [_problem(form, raw, details, where) for details in error.errors()]
        # One value may fail several branches of a union; people need to hear of it once.
        return list({problem.pointer: problem for problem in reversed(found)}.values())[::-1]
    return []


def _problem(
    form: type[BaseModel], raw: dict[str, Any], details: Any, where: tuple[str | int, ...]
) -> Problem:
    path = _path_in(raw, details["loc"], details["type"])
    if details["type"] == "extra_forbidden":
        if form is SweepSpec and len(path) == 1 and path[0] in _OF_ONE_RUN:
            return Problem(pointer(*where, *path), "is not known here.", "Put it under 'base'.")
        known = _fields_at(form, raw, path[:-1])
        offer = closest(str(path[-1]), known) or f"Known here: {', '.join(sorted(known))}."
        return Problem(pointer(*where, *path), "is not known here.", offer)
    if details["type"] == "missing":
        return Problem(pointer(*where, *path), "is missing.")
    if details["type"] == "string_pattern_mismatch":
        return Problem(pointer(*where, *path), _pattern_message(path))
    if details["type"] in ("union_tag_invalid", "union_tag_not_found"):
        context = details["ctx"]
        expected = context.get("expected_tags", _missing_tags(path)).replace("'", "")
        if "tag" not in context:
            return Problem(pointer(*where, *path), "is missing.", f"Say one of {expected}.")
        given = str(context["tag"])
        return Problem(
            pointer(*where, *path),
            f"must be one of {expected}.",
            closest(given, expected.split(", ")),
        )
    message = details["msg"].replace("Input should be ", "must be ").removeprefix("Value error, ")
    for jargon, plain in _PLAIN.items():
        message = message.replace(jargon, plain)
    hint: str | None = None
    if details["type"] in _NUMBER_ERRORS and _is_quoted_number(details.get("input")):
        hint = "Write the number without quotes."
    if details["type"] == "list_type" and isinstance(details.get("input"), str):
        hint = f"Write [{details['input']}]."
    return Problem(pointer(*where, *path), f"{message.rstrip('.')}.", hint)


# What pydantic says in Python's terms, for people who write YAML.
_PLAIN = {
    "a valid dictionary or object to extract fields from": "a table of names and values",
    "a valid dictionary": "a table of names and values",
    "a valid integer": "a whole number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid list": "a list",
    "a valid number": "a number",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "List should have": "must hold",
    "Dictionary should have": "must hold",
    " after validation": "",
}
# The tables whose form their method tells.
_BY_METHOD: dict[str, Mapping[str, type[BaseModel]]] = {
    "strategy": STRATEGY_FORMS,
    "pruner": PRUNER_FORMS,
}
_NUMBER_ERRORS = {"float_type", "int_type"}


def _missing_tags(path: tuple[str | int, ...]) -> str:
    table = _BY_METHOD.get(str(path[-2])) if len(path) > 1 else None
    return "train, benchmark" if table is None else ", ".join(table)


def _is_quoted_number(value: Any) -> bool:
    try:
        return isinstance(value, str) and float(value) is not None
    except ValueError:
        return False


def _pattern_message(path: tuple[str | int, ...]) -> str:
    if path and set(path) & {"name", *LAYER_FIELDS}:
        return "must hold no control characters."
    if "tags" in path:
        return "must begin with a letter or digit and hold only letters, digits and . _ : -"
    return "must be a name from the catalog: small letters, digits and _."


def _path_in(raw: Any, location: tuple[str | int, ...], kind: str) -> tuple[str | int, ...]:
    """Pydantic's location without the names of union branches, which are not in the data."""
    path: list[str | int] = []
    value = raw
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if isinstance(value, dict) and isinstance(part, str):
            if part in value:
                value = value[part]
                path.append(part)
            elif last and kind == "missing":
                path.append(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
            path.append(part)
    if kind == "union_tag_invalid" and isinstance(value, dict):
        path.append("kind" if "kind" in value else "method")
    if kind == "union_tag_not_found" and isinstance(value, dict):
        path.append("method" if path and path[-1] in _BY_METHOD else "kind")
    return tuple(path)


def _fields_at(form: type[BaseModel], raw: Any, path: tuple[str | int, ...]) -> list[str]:
    """The fields that ``form`` has at ``path``, following the branches that ``raw`` takes."""
    from labpool.spec import FORMS, Range

    value = raw
    fields: dict[str, Any] = dict(form.model_fields)
    for part in path:
        value = value[part]
        if part == "base":
            fields = dict(FORMS[value["kind"]].model_fields)
        elif part == "strategy":
            fields = dict(STRATEGY_FORMS[value["method"]].model_fields)
        elif part == "pruner":
            fields = dict(PRUNER_FORMS[value["method"]].model_fields)
        elif part == "objective":
            fields = dict(Objective.model_fields)
        elif "space" in path:
            fields = dict(Range.model_fields)
    return list(fields)
