"""Which trials of a sweep can be trained together as one program, and how many are to be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from labpool.parameters import Parameter

MOST_TOGETHER: Final = 64
LADDER: Final = (1, 4, 8, 16, 32)
"""Sizes of a group that `auto` tries, one after the other."""
WORTH_IT: Final = 1.15
"""So many times as fast as the size before; less is the noise of a machine that others use too."""
APART: Final = "It cannot be trained together with others: "
UNFIT: Final = "Trials of its architecture cannot be trained together: "
CRASHED: Final = "The group that it was trained in crashed; it runs alone now."
"""How the reasons begin that a slot gives trials back with."""
MAY_DIFFER: Final = (
    "learning_rate", "learning_rate_decay", "seed", "epochs", "early_stopping_patience",
    "checkpoint_every_epochs", "name", "notes", "tags", "time_limit_s", "stall_limit_s",
    "priority", "repeat",
)  # fmt: skip
"""Fields of a resolved spec in which trials of one group may differ. Of `parameters`, those that
`fixed_parameters` leaves out."""
_WORDS: Final = f"must be off, auto, or a whole number from 2 to {MOST_TOGETHER}."


def _checked(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value in ("off", "auto") or (whole and 2 <= value <= MOST_TOGETHER):
        return value
    raise PydanticCustomError("fuse", _WORDS)


Fuse = Annotated[
    Literal["off", "auto"] | int,
    BeforeValidator(_checked),
    WithJsonSchema({
        "anyOf": [
            {"type": "string", "enum": ["off", "auto"]},
            {"type": "integer", "minimum": 2, "maximum": MOST_TOGETHER},
        ]
    }),
]  # fmt: skip


def fuse_of(spec: Mapping[str, Any]) -> Literal["off", "auto"] | int:
    """What a submission says of training its trials together; a sweep before its base."""
    base = spec.get("base")
    inner = base.get("fuse") if isinstance(base, Mapping) else None
    return spec.get("fuse") or inner or "off"


def fixed_parameters(given: Mapping[str, Any], declared: Mapping[str, Parameter]) -> dict[str, Any]:
    """A model's parameters by what trials of one group must have in common, as JSON values.

    Of a share that is dropped, and of noise, that is whether there is any: members have their own.
    What only decides the weights that training begins with is left out.
    """
    fixed = {}
    for name, value in given.items():
        role = getattr(declared.get(name), "fused", None)
        if role != "start":
            fixed[name] = value > 0 if role == "chance" else value
    return fixed


def fuse_key(
    spec: Mapping[str, Any],
    code_digest: str,
    data_digest: str,
    declared: Mapping[str, Parameter],
) -> str | None:
    """Equal for trials, given as resolved training specs, that can be trained together.

    `declared` are the parameters that their model has. None for one that cannot be with any. Epochs
    must agree too: a group keeps its slot until its longest member is done.
    """
    if spec.get("engine") != "loop" or any(spec.get(name) for name in _APART):
        return None
    shared = {name: value for name, value in spec.items() if name not in MAY_DIFFER}
    shared["parameters"] = fixed_parameters(spec["parameters"], declared)
    parts = [code_digest, data_digest, shared, spec["epochs"]]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def why_unfit(spec: Mapping[str, Any]) -> str:
    """What keeps a trial without a `fuse_key`, as its resolved spec has it, from every group."""
    if (engine := spec.get("engine")) not in (None, "loop"):
        return f"engine: {engine} trains one trial at a time."
    for name in _APART:
        if spec.get(name):
            return f"it has {name}, and a group's trials begin anew and train all layers."
    return "its model trains itself, or takes no data set."


def step_of(together: int) -> int:
    """The size on the ladder that a group of so many is measured as."""
    return max(size for size in LADDER if size <= together)


def size_that_pays(speeds: Mapping[int, float]) -> int:
    """The next size that `auto` is to try, or the last that was worth it.

    `speeds` are what was measured by size, more being faster.
    """
    best = LADDER[0]
    for size in LADDER:
        if size not in speeds:
            return size
        if size > best:
            if speeds[size] < WORTH_IT * speeds[best]:
                return best
            best = size
    return best


_APART: Final = ("init_from", "fresh", "freeze")
