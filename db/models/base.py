"""What all tables share: names of constraints, and the types of columns."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, Double, Enum, Integer, MetaData, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

# Migrations name constraints to change them; SQLite and Postgres would each invent their own names.
NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLite numbers rows by itself only where the type is spelled INTEGER.
Id = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)]
Reference = BigInteger().with_variant(Integer, "sqlite")
# Seconds since 1970 in UTC, by the database's clock (db/clock.py).
Instant = Annotated[float, mapped_column(Double)]
Short = Annotated[str, mapped_column(String(200))]
Long = Annotated[str, mapped_column(Text)]
Digest = Annotated[str, mapped_column(String(64))]
Document = Annotated[dict[str, Any], mapped_column(JSON().with_variant(JSONB(), "postgresql"))]
Sequence = Annotated[list[Any], mapped_column(JSON().with_variant(JSONB(), "postgresql"))]


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)


def word(kind: type[StrEnum], name: str | None = None) -> Enum:
    """A column that holds one of ``kind``'s words, checked by the database."""
    return Enum(
        kind,
        native_enum=False,
        length=16,
        create_constraint=True,
        name=name or kind.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )
