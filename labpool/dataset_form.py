"""What the TOML of a data set says of its splits and of its pictures."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Splits(BaseModel):
    """How a data set is divided: by one permutation from ``seed``, into these fractions.

    With ``test_is_last`` the test split is the last examples as they stand, which the data set's
    authors set aside, and the permutation divides the others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int
    validation: float = Field(gt=0, lt=0.5)
    test: float = Field(gt=0, lt=0.5)
    test_is_last: bool = False


class Undivided(BaseModel):
    """Training, validation and test are all the same examples: for truth tables, where there are
    no others, and nothing can be said about what a model has not seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    undivided: Literal[True]


class Ink(BaseModel):
    """What a picture of somebody's own is made like before a model sees it.

    For pictures of ink on an even ground, such as digits. ``margin`` is the share of a picture's
    side that stays free on each side of the ink.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    ground: Literal["dark", "light"]
    margin: float = Field(default=0.0, ge=0, lt=0.5)
