"""A spec as YAML text that reads back as the same data.

PyYAML's own writer follows YAML 1.1, in which `1e-3` is text and stands without quotes; read
strictly it would come back as a number. api/static/submit_yaml.js writes the same in the browser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

# How people write a spec: what it is, what it runs, with what, where and for how long.
KEY_ORDER = (
    "kind", "name", "notes", "tags", "base", "strategy", "objective", "budget_slot_seconds",
    "space",
    "model", "parameters", "kernel", "variant", "sizes", "dtype", "launch",
    "dataset", "dataset_parameters", "optimizer", "learning_rate", "learning_rate_decay",
    "batch_size", "epochs", "early_stopping_patience", "checkpoint_every_epochs", "engine",
    "init_from", "fresh", "freeze",
    "samples", "device", "seed", "repeat", "fuse", "time_limit_s", "stall_limit_s", "priority",
    "source",
)  # fmt: skip

_ALWAYS_BLOCK = {"base", "space"}
# About what the page's column shows of a line.
_LONGEST_FLOW = 44
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+() -]*(?<! )")
# A comma ends a value inside of [ ] and { } only.
_PLAIN_LINE = re.compile(r"[A-Za-z_][A-Za-z0-9_./+(), -]*(?<! )")
# Words that this or another YAML reader takes for something else than text.
_NOT_PLAIN = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def spec_text(spec: Mapping[str, Any]) -> str:
    """`spec` as YAML, its keys in the usual order, unknown ones last."""
    return "".join(f"{line}\n" for line in _block(in_order(spec), 0))


def in_order(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The same spec with the keys of its two upper levels in the usual order."""
    ranks = {name: rank for rank, name in enumerate(KEY_ORDER)}
    ordered = dict(sorted(spec.items(), key=lambda item: ranks.get(item[0], len(ranks))))
    if isinstance(ordered.get("base"), Mapping):
        ordered["base"] = in_order(ordered["base"])
    return ordered


def flow(value: Any) -> str:
    """One value on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Mapping):
        pairs = (f"{_string(str(key))}: {flow(inner)}" for key, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(flow(item) for item in value)}]"
    return _string(value) if isinstance(value, str) else str(value)


def _block(mapping: Mapping[str, Any], depth: int) -> Iterator[str]:
    for key, value in mapping.items():
        head = f"{'  ' * depth}{_string(str(key))}:"
        if isinstance(value, Mapping) and value and not _fits_line(key, value):
            yield head
            yield from _block(value, depth + 1)
        elif _is_list_of_tables(value):
            yield head
            yield from (f"{'  ' * (depth + 1)}- {flow(inner)}" for inner in value)
        elif isinstance(value, str) and _reads_well_as_lines(value):
            yield f"{head} |-"
            yield from ("  " * (depth + 1) + line if line else "" for line in value.split("\n"))
        elif isinstance(value, str):
            yield f"{head} {_string(value, comma=True)}"
        else:
            yield f"{head} {flow(value)}"


def _fits_line(key: str, value: Mapping[str, Any]) -> bool:
    nested = any(isinstance(inner, Mapping) for inner in value.values())
    return key not in _ALWAYS_BLOCK and not nested and len(flow(value)) <= _LONGEST_FLOW


def _is_list_of_tables(value: Any) -> bool:
    whole = isinstance(value, list) and bool(value)
    return whole and all(isinstance(inner, Mapping) for inner in value)


def _reads_well_as_lines(text: str) -> bool:
    lines = text.split("\n")
    return (
        len(lines) > 1
        and text.isascii()
        and bool(lines[0])
        and bool(lines[-1])
        and not lines[0].startswith(" ")
        and all(line == line.rstrip() and (not line or line.isprintable()) for line in lines)
    )


def _string(text: str, comma: bool = False) -> str:
    plain = _PLAIN_LINE if comma else _PLAIN
    if plain.fullmatch(text) and text.lower() not in _NOT_PLAIN:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def _float(value: float) -> str:
    text = repr(value)
    return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(text, text)
