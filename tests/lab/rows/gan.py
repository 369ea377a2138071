"""Drawn digits: content by class, style by noise."""

from __future__ import annotations

from tests.lab import gan
from tests.lab.course import Course, Shown

TITLE = "Generative adversarial networks"
FLOORS = {**gan.BOUNDS, **gan.FULL_BOUNDS}


def show(course: Course, shown: Shown) -> None:
    """Readers of its pictures need its weights, so runners train it, without the pool."""
    del course
    shown.figures.update(gan.figures(quick=False))
