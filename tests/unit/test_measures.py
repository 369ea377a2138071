"""Which way is better is known of every metric that a benchmark's result has."""

from __future__ import annotations

import pytest

from labpool.measures import direction_by_name

HIGHER = ("gflop_s", "gb_s", "percent_of_peak", "test_accuracy", "images_per_second")
LOWER = ("median_ms", "median_low_ms", "median_high_ms", "p5_ms", "p95_ms", "batch_ms",
         "to_device_ms", "from_device_ms", "noise_percent", "max_relative_error")  # fmt: skip


@pytest.mark.parametrize("name", HIGHER)
def test_it_works(name: str) -> None:
    assert direction_by_name(name) == "maximize"


@pytest.mark.parametrize("name", LOWER)
def test_less_is_better(name: str) -> None:
    assert direction_by_name(name) == "minimize"


def test_a_count_has_no_better_way() -> None:
    assert direction_by_name("samples") is None
