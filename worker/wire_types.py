"""The field types of the protocol between a slot and its runner, and their limits."""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field, JsonValue

LINE_LIMIT_BYTES: Final = 65536
"""Longest line, its newline included."""
POINTS_LIMIT_NUMBERS: Final = 2000
"""Most numbers of one `points` message: at 25 characters each they fit into a line."""
SUMMARY_LIMIT_BYTES: Final = 32768
ENVIRONMENT_LIMIT_BYTES: Final = 16384
REASON_LIMIT_CHARACTERS: Final = 4000
JSON_DEPTH_LIMIT: Final = 16
LARGEST_INTEGER: Final = 2**63 - 1
METRIC_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
FILE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
DIGEST: Final = re.compile(r"[0-9a-f]{64}")

ReasonKind: TypeAlias = Literal[
    "user_error",
    "out_of_memory",
    "gpu_fault",
    "diverged",
    "disk_full",
    "internal",
    "not_prepared",
]
MediaType: TypeAlias = Literal[
    "application/json", "application/octet-stream", "image/png", "text/csv", "text/plain"
]
"""Nothing a browser would run: artifacts come from the runner and are served to users."""
Unit: TypeAlias = Literal["epoch", "sample"]


def matching(pattern: re.Pattern[str]) -> AfterValidator:
    """A validator for text that `pattern` matches from end to end."""

    def check(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError(f"does not match {pattern.pattern}")
        return text

    return AfterValidator(check)


def storable(text: str) -> str:
    """Refuse what Postgres cannot hold in a text column."""
    if "\x00" in text:
        raise ValueError("holds a NUL character")
    return text


def plain_json(value: Any, depth: int = 0) -> Any:
    """Refuse JSON that a database or a later reader could choke on."""
    if depth > JSON_DEPTH_LIMIT:
        raise ValueError(f"is nested deeper than {JSON_DEPTH_LIMIT}")
    if isinstance(value, str):
        storable(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("holds a number that is not finite")
    elif isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise ValueError("holds an integer of more than 64 bits")
    elif isinstance(value, dict):
        for key, item in value.items():
            storable(key)
            plain_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            plain_json(item, depth + 1)
    return value


def bounded_json(limit_bytes: int) -> AfterValidator:
    """A validator for plain JSON of at most `limit_bytes`."""

    def check(value: Any) -> Any:
        plain_json(value)
        if len(json.dumps(value, separators=(",", ":")).encode()) > limit_bytes:
            raise ValueError(f"is larger than {limit_bytes} bytes")
        return value

    return AfterValidator(check)


Identity: TypeAlias = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
Count: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Positive: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
MetricName: TypeAlias = Annotated[str, matching(METRIC_NAME)]
FileName: TypeAlias = Annotated[str, matching(FILE_NAME)]
Digest: TypeAlias = Annotated[str, matching(DIGEST)]
Label: TypeAlias = Annotated[str, Field(max_length=200), AfterValidator(storable)]
AbsolutePath: TypeAlias = Annotated[
    str, Field(max_length=4096, pattern="^/"), AfterValidator(storable)
]
Reason: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=REASON_LIMIT_CHARACTERS), AfterValidator(storable)
]
Json: TypeAlias = dict[str, JsonValue]
