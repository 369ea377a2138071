"""`repeat: N`: one training run as N trials that differ in nothing but their seed.

Trial k of them, counted from 0, has the seed ``seed + k``. So a longer repetition begins with the
trials of a shorter one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labpool.errors import Problem, pointer
from labpool.spec import MOST_REPEATS
from labpool.strict import MOST_SEED


@dataclass(frozen=True, slots=True)
class Repeated:
    """One of the trials; ``values`` holds its seed where there are several."""

    raw: dict[str, Any]
    values: Mapping[str, Any]


def repeats(raw: Mapping[str, Any]) -> Iterator[Repeated]:
    """The trials of a runnable spec without problems, in order; one where nothing repeats."""
    count, seed = raw.get("repeat", 1), raw.get("seed", 0)
    for step in range(count):
        once = copy.deepcopy({name: value for name, value in raw.items() if name != "repeat"})
        if count > 1:
            once["seed"] = seed + step
        yield Repeated(once, {"seed": seed + step} if count > 1 else {})


def repeat_problems(
    raw: Mapping[str, Any], *where: str, space: object = None, most: int | None = None
) -> list[Problem]:
    """What is wrong with the repetition that the form cannot see.

    ``space`` is that of the sweep whose base ``raw`` is; ``most`` the trials allowed.
    """
    count, seed = raw.get("repeat", 1), raw.get("seed", 0)
    if type(count) is not int or not 1 < count <= MOST_REPEATS:
        return []  # nothing repeats, or the form says what is wrong
    at = pointer(*where, "repeat")
    if isinstance(space, Mapping) and "seed" in space:
        message = "counts the seed on, which the space varies too: some trials would be the same."
        return [Problem(at, message, "Leave out one of the two.")]
    if most is not None and count > most:
        message = f"comes to {count} trials, where a submission may have {most}."
        return [Problem(at, message, "Repeat it less often.")]
    if type(seed) is int and seed <= MOST_SEED < seed + count - 1:
        message = f"counts the seed on from {seed}, past the largest, {MOST_SEED}."
        return [Problem(at, message, "Take a smaller seed.")]
    return []
