"""Every figure with a bound is explained."""

from __future__ import annotations

import re

import pytest

from labpool.settings import CHECKOUT
from tests.faults import frame

PAGES = {"figures.md": CHECKOUT / "tests" / "faults", "cost.md": CHECKOUT / "tests" / "bench"}


def rows(page: str) -> list[list[str]]:
    text = (CHECKOUT / "docs" / page).read_text(encoding="utf-8")
    return [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize(
    ("page", "name"), [(page, name) for page in PAGES for name in frame.names(PAGES[page])]
)
def test_every_figure_of_a_measure_has_its_row(page: str, name: str) -> None:
    measure = frame.load(name, PAGES[page])
    explained = {
        figure
        for row in rows(page)
        if row[-1].strip(" |`") == name
        for figure in re.findall(r"`(\w+)`", row[0])
    }
    assert explained >= measure.bounds.keys() | measure.full_bounds.keys()


@pytest.mark.parametrize("page", PAGES)
def test_every_row_is_of_a_measure(page: str) -> None:
    assert {row[-1].strip(" |`") for row in rows(page)} == set(frame.names(PAGES[page]))
