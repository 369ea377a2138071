"""Every figure with a bound is explained."""

from __future__ import annotations

import re

import pytest

from labpool.settings import CHECKOUT
from tests.faults import frame

PAGE = (CHECKOUT / "docs" / "figures.md").read_text(encoding="utf-8")
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("name", frame.names())
def test_every_figure_of_a_measure_has_its_row(name: str) -> None:
    measure = frame.load(name)
    explained = {
        figure
        for row in ROWS
        if row[-1].strip(" |`") == name
        for figure in re.findall(r"`(\w+)`", row[0])
    }
    assert explained >= measure.bounds.keys() | measure.full_bounds.keys()


def test_every_row_is_of_a_measure() -> None:
    assert {row[-1].strip(" |`") for row in ROWS} == set(frame.names())
