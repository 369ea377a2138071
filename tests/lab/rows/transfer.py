"""What was learned on the digits 0 to 4 helps with 5 to 9."""

from __future__ import annotations

from tests.lab import transfer
from tests.lab.course import Course, Shown

TITLE = "Transfer Learning and Fine Tuning"
FLOORS = {name: f">= {floor}" for name, floor in transfer.FLOORS.items()}


def show(course: Course, shown: Shown) -> None:
    """Ten seeds, each against the same head on layers that nobody trained."""
    del course
    found = transfer.figures(quick=False)
    shown.figures.update({name: one["value"] for name, one in found.items()})
