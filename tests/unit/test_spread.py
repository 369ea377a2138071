"""Means with intervals against tables and by hand."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labpool.spread import one_more, spread_of, student_t

NUMBERS = st.floats(min_value=-1e12, max_value=1e12)


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    # As printed in tables of Student's distribution, two-sided 5 %.
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (10, 2.228),
     (19, 2.093), (29, 2.045), (49, 2.010), (60, 2.000), (120, 1.980), (100_000, 1.960)],
)  # fmt: skip
def test_it_works(freedom: int, quantile: float) -> None:
    assert student_t(freedom) == pytest.approx(quantile, abs=5.1e-4)


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706204736174694), (4, 2.7764451051977934), (1000, 1.9623390808264083),
     (1001, 1.9623367052808798), (5000, 1.9604385517065073)],
)  # fmt: skip
def test_quantiles_are_exact_to_eight_digits(freedom: int, quantile: float) -> None:
    assert student_t(freedom) == pytest.approx(quantile, abs=1e-8)


def test_no_freedom_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="at least one"):
        student_t(0)


def test_five_runs_by_hand() -> None:
    found = spread_of([0.96, 0.97, 0.98, 0.95, 0.99])
    assert found is not None
    assert (found.n, found.mean) == (5, pytest.approx(0.97))
    assert found.deviation == pytest.approx(math.sqrt(0.001 / 4))
    assert found.half_width == pytest.approx(2.7764451 * math.sqrt(0.001 / 4) / math.sqrt(5))
    ends = one_more(found)
    assert ends is not None
    assert ends[1] - found.mean == pytest.approx(2.7764451 * 0.0158113883 * math.sqrt(1.2))


def test_one_run_knows_no_spread() -> None:
    found = spread_of([0.5])
    assert found is not None
    assert (found.n, found.mean, found.deviation, found.half_width) == (1, 0.5, None, None)
    assert one_more(found) is None


def test_what_is_no_number_is_no_run() -> None:
    assert spread_of([]) is None
    assert spread_of([None, math.nan, math.inf, -math.inf]) is None
    found = spread_of([1.0, math.nan, None, 3.0])
    assert found is not None
    assert (found.n, found.mean) == (2, 2.0)


@given(st.lists(NUMBERS, min_size=2, max_size=30))
def test_it_agrees_with_exact_arithmetic_in_any_order(values: list[float]) -> None:
    found, turned = spread_of(values), spread_of(values[::-1])
    assert found == turned
    assert found is not None and found.deviation is not None
    scale = max(map(abs, values)) or 1.0
    assert found.mean == pytest.approx(statistics.fmean(values), abs=1e-12 * scale)
    assert found.deviation == pytest.approx(statistics.stdev(values), abs=1e-9 * scale)
    assert min(values) <= found.mean <= max(values)


@given(NUMBERS, st.integers(2, 20))
def test_equal_values_have_no_spread_at_all(value: float, count: int) -> None:
    found = spread_of([value] * count)
    assert found is not None
    assert (found.mean, found.deviation, found.half_width) == (value, 0.0, 0.0)
