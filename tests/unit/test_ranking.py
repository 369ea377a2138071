"""Rank bands: what they say by hand, and what holds of them whatever the rows are."""

from __future__ import annotations

import math
import random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labpool.ranking import Standing, standings
from labpool.spread import Spread, spread_of

Direction = Literal["maximize", "minimize"]
VALUES = st.one_of(
    st.floats(-1e6, 1e6), st.sampled_from([0.0, 0.5, 1.0, math.nan, math.inf]), st.none()
)
ROWS = st.lists(st.lists(VALUES, max_size=4).map(spread_of), max_size=12)
DIRECTIONS = st.sampled_from(["maximize", "minimize"])


def bands(rows: list[Spread | None], direction: Direction = "maximize") -> list[str]:
    return [
        "-" if found is None or found.band is None else f"{found.band.first}-{found.band.last}"
        for found in standings(rows, direction)
    ]


def test_it_works() -> None:
    near, far = [0.960, 0.961, 0.962], [0.90, 0.901, 0.902]
    rows = [spread_of(far), spread_of(near), spread_of([value + 0.001 for value in near])]
    assert bands(rows) == ["3-3", "1-2", "1-2"]
    assert bands(rows, "minimize") == ["1-1", "2-3", "2-3"]
    assert [found.place for found in standings(rows, "maximize") if found] == [3, 2, 1]


def test_single_runs_among_themselves_have_places_and_no_bands() -> None:
    rows = [spread_of([value]) for value in (0.8, 0.9, 0.8, 0.7)]
    found = standings(rows, "maximize")
    assert [row.place for row in found if row] == [2, 1, 2, 4]
    assert bands(rows) == ["-"] * 4


def test_a_single_run_borrows_the_spread_of_the_others() -> None:
    group = spread_of([0.95, 0.96, 0.97])
    near, far = spread_of([0.975]), spread_of([0.2])
    found = standings([group, near, far], "maximize")
    assert bands([group, near, far]) == ["1-2", "1-2", "3-3"]
    assert [row.band.borrowed for row in found if row and row.band] == [False, True, True]
    # t(0.975, 2) · 0.01, as one run has it.
    assert found[1] is not None and found[1].band is not None
    assert found[1].band.half_width == pytest.approx(4.30265 * 0.01, rel=1e-5)


def test_without_any_spread_only_equal_values_share_a_place() -> None:
    rows = [spread_of([1.0, 1.0]), spread_of([1.0]), spread_of([0.99, 0.99, 0.99])]
    assert bands(rows) == ["1-2", "1-2", "3-3"]


def test_what_has_no_value_never_ranks() -> None:
    rows = [spread_of([math.nan, None]), spread_of([]), spread_of([0.5, 0.6])]
    assert standings(rows, "maximize")[:2] == [None, None]
    assert bands(rows) == ["-", "-", "1-1"]
    assert standings([], "maximize") == []


def interval(row: Spread, found: Standing) -> tuple[float, float]:
    assert found.band is not None
    return row.mean - found.band.half_width, row.mean + found.band.half_width


@given(ROWS, DIRECTIONS)
def test_bands_say_what_intervals_say(rows: list[Spread | None], direction: Direction) -> None:
    found = standings(rows, direction)
    assert [row is None for row in rows] == [row is None for row in found]
    ranked = [(row, at) for row, at in zip(rows, found, strict=True) if row and at]
    has_bands = any(row.n > 1 for row, _ in ranked)
    for row, at in ranked:
        assert (at.band is not None) == has_bands
        better = [
            other for other, _ in ranked
            if (other.mean > row.mean if direction == "maximize" else other.mean < row.mean)
        ]  # fmt: skip
        assert at.place == 1 + len(better)
        if at.band is None:
            continue
        assert 1 <= at.band.first <= at.place <= at.band.last <= len(ranked)
        low, high = interval(row, at)
        for other, there in ranked:
            other_low, other_high = interval(other, there)
            assert there.band is not None
            above = other_low > high if direction == "maximize" else other_high < low
            if above:
                assert there.band.first < at.band.first
                assert there.band.last < at.band.last


@given(ROWS, DIRECTIONS, st.randoms(use_true_random=False))
def test_no_order_of_the_rows_matters(
    rows: list[Spread | None], direction: Direction, source: random.Random
) -> None:
    order = list(range(len(rows)))
    source.shuffle(order)
    found, mixed = standings(rows, direction), standings([rows[at] for at in order], direction)
    assert [found[at] for at in order] == mixed


@given(ROWS)
def test_turning_the_direction_turns_the_bands(rows: list[Spread | None]) -> None:
    up, down = standings(rows, "maximize"), standings(rows, "minimize")
    count = sum(row is not None for row in rows)
    for one, other in zip(up, down, strict=True):
        if one and one.band:
            assert other is not None and other.band is not None
            assert (one.band.first, one.band.last) == (
                count + 1 - other.band.last, count + 1 - other.band.first,
            )  # fmt: skip
