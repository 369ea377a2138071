"""The short form of tests/faults/kills.py: a runner and a worker killed in the middle of a run."""

from __future__ import annotations

from tests.faults import frame


def test_killed_runs_lose_at_most_an_interval_and_end_with_the_same_weights() -> None:
    kills = frame.load("kills")
    found = kills.figures(True)
    assert list(frame.out_of_bounds(found, kills.bounds_for(quick=True))) == []
    assert found["kills"] == 2
