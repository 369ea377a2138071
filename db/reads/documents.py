"""Single values inside JSON columns, as numbers or as texts, on either database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Double, String, case, cast, func, select, type_coerce
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import InstrumentedAttribute

Column = InstrumentedAttribute[Any]


def number_at(dialect: str, document: Column, *path: str) -> ColumnElement[float | None]:
    """The number at `path`; null where there is none or something else."""
    kind, value = _kind_and_value(dialect, document, path)
    if dialect == "postgresql":
        return case((kind == "number", cast(value, Double)))
    return case((kind.in_(("integer", "real")), type_coerce(value, Double)))


def text_at(dialect: str, document: Column, *path: str) -> ColumnElement[str | None]:
    """What stands at `path` as text; null where there is nothing, or a number."""
    kind, value = _kind_and_value(dialect, document, path)
    if dialect == "postgresql":
        return case((kind.in_(("string", "boolean", "array", "object")), value))
    return case((kind.in_(("true", "false")), kind), (kind.in_(("text", "array", "object")), value))


def has_word(dialect: str, words: Column, word: str) -> ColumnElement[bool]:
    """Whether the JSON list `words` holds `word`."""
    if dialect == "postgresql":
        return type_coerce(words, JSONB).contains([word])
    each = func.json_each(words).table_valued("value")
    return select(each.c.value).where(each.c.value == word).exists()


def _kind_and_value(
    dialect: str, document: Column, path: tuple[str, ...]
) -> tuple[ColumnElement[str], ColumnElement[str]]:
    if dialect == "postgresql":
        found = type_coerce(document, JSONB)[path]
        return func.jsonb_typeof(found, type_=String), found.astext
    address = "$" + "".join(f'."{part}"' for part in path)
    return (
        func.json_type(document, address, type_=String),
        func.json_extract(document, address, type_=String),
    )
