"""The size that `fuse: auto` comes to, from what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from labpool.fusing import LADDER
from worker.gains import Gains

KEY = "k" * 64


@pytest.fixture
def gains(tmp_path: Path) -> Gains:
    return Gains(tmp_path / "speeds" / "cpu.json")


def climb(gains: Gains, speeds: dict[int, float]) -> list[int]:
    """Train one group after the other at these speeds; the sizes that were asked for."""
    asked = []
    for _ in range(2 * len(LADDER)):
        size = gains.sizes().auto.get(KEY, 1)
        asked.append(size)
        gains.measured(KEY, size, speeds[size])
    return asked


def test_it_works(gains: Gains) -> None:
    """It goes up while that pays, and stays at the best."""
    asked = climb(gains, {1: 100.0, 4: 300.0, 8: 500.0, 16: 520.0})
    assert asked[:5] == [1, 4, 8, 16, 8]
    assert asked[-1] == 8


def test_what_does_not_pay_runs_alone(gains: Gains) -> None:
    assert climb(gains, {1: 100.0, 4: 110.0})[-4:] == [1, 1, 1, 1]


def test_the_largest_may_pay(gains: Gains) -> None:
    assert climb(gains, {1: 1.0, 4: 2.0, 8: 3.0, 16: 4.0, 32: 5.0})[-1] == 32


def test_a_slow_moment_costs_no_more_than_one_round(gains: Gains) -> None:
    for together, speed in ((1, 100.0), (4, 90.0)):
        gains.measured(KEY, together, speed)
    assert gains.sizes().auto[KEY] == 1
    gains.measured(KEY, 5, 250.0)
    assert gains.sizes().auto[KEY] == 8


def test_what_crashed_is_not_tried_again_so_large(gains: Gains) -> None:
    for size in LADDER:
        gains.measured(KEY, size, 100.0 * size)
    gains.crashed(KEY, 32)
    assert gains.sizes().auto[KEY] == 16


def test_what_cannot_be_is_named(gains: Gains) -> None:
    gains.cannot(KEY)
    assert KEY in gains.sizes().unfit


def test_it_outlives_the_worker(gains: Gains, tmp_path: Path) -> None:
    climb(gains, {1: 100.0, 4: 110.0})
    again = Gains(tmp_path / "speeds" / "cpu.json")
    assert again.sizes().auto == gains.sizes().auto == {KEY: 1}


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": [["x", 1]]}'])
def test_a_broken_file_is_begun_anew(tmp_path: Path, text: str) -> None:
    file = tmp_path / "cpu.json"
    file.write_text(text, encoding="utf-8")
    gains = Gains(file)
    assert not gains.sizes().auto
    gains.measured(KEY, 1, 1.0)
    assert Gains(file).sizes().auto == {KEY: 4}
