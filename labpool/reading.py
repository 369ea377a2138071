"""Text to data: a spec written as JSON or YAML, read strictly.

What both refuse: a key given twice, nesting deeper than ``DEEPEST``, text that is not UTF-8 or
holds NUL. YAML adds: no anchors and aliases (they can make a small file enormous) and no tags.
``1e-3`` is a number in both; PyYAML follows YAML 1.1, where it is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any, Literal

import yaml

from labpool.errors import Problem, SpecError, pointer

Language = Literal["json", "yaml"]

DEEPEST = 16
_HINT_DEPTH = f"At most {DEEPEST} levels are read."


def read_spec(text: str | bytes, language: Language) -> Any:
    """The data in ``text``. Raises SpecError; what it returns is not yet known to be a spec."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"is not UTF-8 (byte {error.start})."
            raise SpecError([Problem("", message, "Save it as UTF-8.")]) from None
    try:
        data = _read_json(text) if language == "json" else _read_yaml(text)
    except RecursionError:
        raise SpecError([Problem("", "is nested too deeply.", _HINT_DEPTH)]) from None
    _refuse_bad_values(data)
    return data


class _DuplicateKey(Exception):
    """A key stands twice in one object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _DuplicateKey(key)
        found[key] = value
    return found


def _read_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except _DuplicateKey as error:
        raise SpecError([_twice(str(error))]) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise SpecError([Problem("", f"is not JSON: {error.msg} at {where}.")]) from None
    except ValueError:  # an integer of more digits than Python converts
        raise SpecError([Problem("", "holds a number with too many digits.")]) from None


def _twice(key: str) -> Problem:
    return Problem(pointer(key), "is given twice.", "Keep one of the two.")


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader without aliases, with YAML 1.2's numbers and booleans."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not read", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is not text", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise _DuplicateKey(key)
            seen.add(key)
        return dict(super().construct_mapping(node, deep=deep))


# Strings that YAML 1.1 turns into something else stay strings: dates, "on", "no", 1:30, 0o17.
_StrictLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+0123456789."),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
):
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )


def _construct_int(loader: _StrictLoader, node: Any) -> int:
    # SafeLoader reads a leading zero as octal; YAML 1.2 and everybody else reads 010 as ten.
    return int(loader.construct_scalar(node))


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def _read_yaml(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader, made stricter
    except _DuplicateKey as error:
        raise SpecError([_twice(str(error))]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SpecError(
            [Problem("", f"is not YAML that labpool reads: {error.problem}{where}.")]
        ) from None
    except yaml.YAMLError as error:
        raise SpecError([Problem("", f"is not YAML: {error}.")]) from None
    except ValueError as error:
        raise SpecError([Problem("", f"holds a value that cannot be read: {error}.")]) from None


def _refuse_bad_values(data: Any) -> None:
    """Walk without recursion, so that what is hostile cannot exhaust the stack."""
    problems: list[Problem] = []
    waiting: list[tuple[Any, tuple[str | int, ...]]] = [(data, ())]
    while waiting:
        value, path = waiting.pop()
        if isinstance(value, str) and ("\0" in value or _has_surrogate(value)):
            problems.append(Problem(pointer(*path), "holds a character that cannot be stored."))
        if not isinstance(value, dict | list):
            continue
        if len(path) >= DEEPEST:
            problems.append(Problem(pointer(*path[:1]), "is nested too deeply.", _HINT_DEPTH))
            break
        if isinstance(value, dict):
            if any("\0" in key or _has_surrogate(key) for key in value):
                # The key itself cannot be printed, so the pointer names what holds it.
                problems.append(Problem(pointer(*path), "has a key that cannot be stored."))
            waiting.extend((inner, (*path, key)) for key, inner in value.items())
        else:
            waiting.extend((inner, (*path, index)) for index, inner in enumerate(value))
    if problems:
        raise SpecError(problems)


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
