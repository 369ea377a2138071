"""Which colour a trial has: the same on every page, whatever stands beside it."""

from __future__ import annotations

from typing import NamedTuple

# As many as the style sheet has `--series-N`.
PALETTE_SIZE = 8


class Look(NamedTuple):
    """`colour` is an index into the palette; `dashed` tells apart trials that share one."""

    colour: int
    dashed: bool

    @property
    def classes(self) -> str:
        """The style sheet's classes of a line in this look."""
        return f"series-{self.colour}{' dashed' if self.dashed else ''}"


def look_of(trial_id: int) -> Look:
    """Neighbouring ids, as the trials of a sweep have, all look different up to sixteen."""
    return Look(trial_id % PALETTE_SIZE, trial_id // PALETTE_SIZE % 2 == 1)
