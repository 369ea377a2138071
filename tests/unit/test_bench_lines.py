"""Benchmarks beside each other: verdicts, order, words, and what a roofline says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from labpool.benchmarks import Timed, lines_of, size_text, telling_rate, way_text
from labpool.roofline import Roofline, under_one_roof
from labpool.verdicts import SAME_WITHIN, verdict
from tests.support import timed as samples


def timed(trial: int, median_ms: float, device: str = "gpu", **changes: Any) -> Timed:
    n = changes.get("n", 1_000_000)
    found = samples.metrics(median_ms, n), samples.summary(median_ms, n)
    return Timed(trial, device, samples.spec(**changes), *found)


def interval(low: float, high: float) -> dict[str, float]:
    return {"median_low_ms": low, "median_high_ms": high}


def test_it_works() -> None:
    lines = lines_of(
        [
            timed(1, 1.0, n=10_000_000),
            timed(2, 0.9, n=10_000_000, variant="wide"),
            timed(3, 0.1, n=1_000_000),
            timed(4, 0.1001, n=1_000_000, variant="wide"),
        ]
    )
    assert [line.timed.trial for line in lines] == [3, 4, 1, 2]
    assert [line.verdict for line in lines] == [None, "SAME", None, "FAST"]
    assert [line.against for line in lines] == [None, 3, None, 1]
    assert [way_text(line.ways) for line in lines] == ["one_each", "wide"] * 2
    assert [size_text(line.sizes) for line in lines] == ["1,000,000"] * 2 + ["10,000,000"] * 2
    assert telling_rate(lines) == "gb_s"


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (interval(1.0, 1.01), interval(0.90, 0.91), "FAST"),
        (interval(1.0, 1.01), interval(1.10, 1.11), "SLOW"),
        (interval(1.0, 1.005), interval(1.0, 1.01), "SAME"),
        # Apart, but by nothing that matters.
        (interval(1.0, 1.001), interval(1.005, 1.006), "SAME"),
        (interval(1.0, 1.3), interval(1.1, 1.2), "AMBIGUOUS"),
        (interval(1.0, 1.3), interval(0.8, 1.1), "AMBIGUOUS"),
        ({}, interval(1.0, 1.1), "AMBIGUOUS"),
        (interval(0.0, 1.0), interval(1.0, 1.1), "AMBIGUOUS"),
        (interval(1.0, 1.1), {"median_low_ms": None, "median_high_ms": 1.0}, "AMBIGUOUS"),
    ],
)
def test_verdicts(before: Mapping[str, Any], after: Mapping[str, Any], wanted: str) -> None:
    assert verdict(before, after) == wanted


def test_a_verdict_turned_round_is_its_opposite() -> None:
    opposite = {"FAST": "SLOW", "SLOW": "FAST", "SAME": "SAME", "AMBIGUOUS": "AMBIGUOUS"}
    found = [interval(low, low * wide) for low in (0.5, 0.99, 1.0, 1.2) for wide in (1.001, 1.3)]
    for before in found:
        for after in found:
            assert verdict(after, before) == opposite[verdict(before, after)]
    assert 0 < SAME_WITHIN < 0.05


def test_devices_types_and_sizes_are_never_judged_against_each_other() -> None:
    lines = lines_of(
        [
            timed(1, 1.0, device="cpu"),
            timed(2, 0.1, device="gpu"),
            timed(3, 0.2, device="gpu", dtype="float64"),
            timed(4, 0.3, device="gpu", n=7),
        ]
    )
    assert [line.verdict for line in lines] == [None] * 4
    assert [line.work["device"] for line in lines] == ["cpu", "gpu", "gpu", "gpu"]


def test_two_gpus_are_never_judged_against_each_other() -> None:
    """A verdict between them would be about the GPUs, and say FAST of the same variant."""
    found = [on("Old GPU", 1, 1.0), on("New GPU", 2, 0.5), on("New GPU", 3, 0.4, variant="wide")]
    lines = lines_of(found)
    assert [(line.timed.trial, line.verdict, line.against) for line in lines] == [
        (2, None, None), (3, "FAST", 2), (1, None, None),
    ]  # fmt: skip
    assert [line.work["device"] for line in lines] == ["New GPU", "New GPU", "Old GPU"]
    # Of one GPU the name is not repeated in each line.
    assert all("device" not in line.work for line in lines_of(found[1:]))


def on(name: str, trial: int, median_ms: float, **changes: Any) -> Timed:
    """The same on a GPU of this name."""
    found = timed(trial, median_ms, **changes)
    gpu = {**found.summary["gpu"], "name": name}
    return replace(found, summary={**found.summary, "gpu": gpu})


def test_peaks_measured_anew_are_one_roof_and_others_are_not() -> None:
    shares = [1.0, 0.98, 1.03, 0.1, 0.1]
    roofs = [
        Roofline.of({"roofline": {**samples.summary(1.0)["roofline"], "peak_gb_s": 4000.0 * share}})
        for share in shares
    ]
    roof, places = under_one_roof([one for one in roofs if one is not None])
    assert places == [0, 1, 2]
    assert (roof.peak_gb_s, roof.peak_gflop_s) == (4120.0, 60_000.0)


def test_of_a_trial_and_its_retry_the_newer_one_counts() -> None:
    lines = lines_of([timed(9, 0.5), timed(3, 1.0)])
    assert [line.timed.trial for line in lines] == [9]


def test_launch_parameters_are_ways_too() -> None:
    lines = lines_of([timed(1, 1.0, threads=128), timed(2, 2.0, threads=256)])
    assert [way_text(line.ways) for line in lines] == ["threads=128", "threads=256"]
    assert lines[1].verdict == "SLOW"
    assert lines_of([]) == []


def test_without_a_roofline_the_intensity_says_which_rate_tells() -> None:
    few = Timed(1, "cpu", samples.spec(), {}, {"bytes": 12, "operations": 2})
    many = Timed(1, "cpu", samples.spec(), {}, {"bytes": 12, "operations": 200})
    unknown = Timed(1, "cpu", samples.spec(), {}, {})
    assert telling_rate(lines_of([few])) == "gb_s"
    assert telling_rate(lines_of([many])) == telling_rate(lines_of([unknown])) == "gflop_s"


def test_a_roofline_says_what_holds_a_kernel_back() -> None:
    roof = Roofline.of(samples.summary(0.004))
    assert roof is not None
    assert roof.ridge == 15.0
    assert (roof.roof(1.0), roof.roof(100.0)) == (4000.0, 60_000.0)
    assert roof.sentence == (
        "Memory is the limit: its 0.167 operations a byte leave room for 666.7 GFLOP/s at the "
        "measured 4,000 GB/s. It reaches 75 % of that."
    )
    slow = Roofline.of(samples.summary(0.03))
    assert slow is not None and "less than half" in slow.sentence


@pytest.mark.parametrize(
    "change",
    [
        {"peak_gb_s": 0},
        {"peak_gflop_s": float("nan")},
        {"intensity": float("inf")},
        {"attainable_gflop_s": "many"},
        {"percent": True},
        {"limit": "<b>"},
    ],
)
def test_a_roofline_of_nonsense_is_none(change: dict[str, Any]) -> None:
    good = samples.summary(0.004)["roofline"]
    assert Roofline.of({"roofline": good}) is not None
    assert Roofline.of({"roofline": {**good, **change}}) is None
    assert Roofline.of({}) is None
