"""How a spec names the trial whose weights a training run begins with.

`12` is the best checkpoint of trial 12. What is stored, and runs again, is `12@<sha256>`: that
checkpoint and no other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_FORM: Final = re.compile(r"([1-9][0-9]{0,17})(?:@([0-9a-f]{64}))?")
_WORDS: Final = "must be the number of a trial, such as 12, or 12@ and a checkpoint's sha256."
LAYER_FIELDS: Final = ("fresh", "freeze")


@dataclass(frozen=True, slots=True)
class Origin:
    """A trial's best checkpoint; with ``sha256`` the one that has it."""

    trial: int
    sha256: str | None = None

    def __str__(self) -> str:
        return str(self.trial) if self.sha256 is None else f"{self.trial}@{self.sha256}"


def begun_from(spec: Mapping[str, Any]) -> Origin | None:
    """What a train spec says under ``init_from``; None when it begins from nothing."""
    written = spec.get("init_from")
    match = None if written is None else _FORM.fullmatch(str(written))
    return None if match is None else Origin(int(match[1]), match[2])


def _checked(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if (whole or isinstance(value, str)) and _FORM.fullmatch(str(value)):
        return value
    raise PydanticCustomError("trial_reference", _WORDS)


TrialReference = Annotated[
    int | str,
    BeforeValidator(_checked),
    WithJsonSchema({"type": ["string", "integer"], "pattern": f"^{_FORM.pattern}$", "minimum": 1}),
]
