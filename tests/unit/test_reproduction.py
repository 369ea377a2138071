"""Two runs compared: the verdict, its intervals, and the reasons named."""

from __future__ import annotations

import math
from typing import Any

import pytest

from labpool.reproduction import Outcome, reproduction
from labpool.reproduction_text import summary_of
from labpool.spread import Spread, spread_of


def outcome(weights: str | None = "a", **changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "metrics": {"test_accuracy": 0.97, "train_seconds": 4.0, "images_per_second": 9e3},
        "summary": {"weights_sha256": weights} if weights else {},
        "environment": {"device_name": "CPU", "threads": 2, "versions": {"keras": "3.15"}},
        "device": "cpu",
        "code_digest": "c",
        "data_digest": "d",
        "ended_early": False,
    }
    return Outcome(**{**values, **changes})


def spreads(*values: float) -> dict[str, Spread]:
    found = spread_of(values)
    assert found is not None
    return {"test_accuracy": found}


def test_it_works() -> None:
    found = reproduction(outcome(), outcome())
    assert (found.verdict, found.reasons) == ("identical", ())
    assert [pair.name for pair in found.metrics] == ["test_accuracy"], "time is no result"
    assert "bit by bit" in summary_of(found, 12)


@pytest.mark.parametrize(
    ("again", "seeds", "verdict"),
    [
        (0.97, (), "reproduced"),
        (0.9700005, (), "reproduced"),
        (0.9701, (), "differs"),
        (0.975, (0.96, 0.97, 0.98), "reproduced"),
        (0.92, (0.96, 0.97, 0.98), "differs"),
        (0.98, (0.97,), "differs"),
        (math.nan, (0.96, 0.97, 0.98), "differs"),
        (None, (0.96, 0.97, 0.98), "differs"),
    ],
)
def test_other_weights_are_judged_by_the_metrics(
    again: float | None, seeds: tuple[float, ...], verdict: str
) -> None:
    other = outcome("b", metrics={"test_accuracy": again})
    found = reproduction(outcome(), other, spreads(*seeds) if seeds else None)
    assert found.verdict == verdict
    assert found.seeds == max(1, len(seeds))


def test_a_metric_that_one_of_them_lacks_differs() -> None:
    more = outcome("b", metrics={"test_accuracy": 0.97, "test_iou": 0.5})
    assert reproduction(outcome(), more).verdict == "differs"
    assert reproduction(more, outcome("a")).verdict == "differs"


def test_no_weights_are_not_the_same_weights() -> None:
    empty = outcome(None, metrics={})
    assert reproduction(empty, empty).verdict == "differs", "nothing was compared"


def test_what_differs_is_named() -> None:
    other = outcome(
        "b",
        device="gpu",
        environment={"device_name": "H200", "threads": 2, "versions": {"keras": "3.16", "x": "1"}},
        code_digest="other",
        ended_early=True,
    )
    assert reproduction(outcome(), other).reasons == (
        "the catalog entry's code has changed",
        "the second ended early",
        "device: cpu, then gpu",
        "device name: CPU, then H200",
        "keras: 3.15, then 3.16",
        "x: not recorded, then 1",
    )


def test_the_sentence_says_what_is_known() -> None:
    far = outcome("b", metrics={"test_accuracy": 0.5})
    alone = reproduction(outcome(), far)
    assert summary_of(alone, 3) == (
        "Differs from trial 3 in test accuracy; how far chance moves one seed is not known."
    )
    held = reproduction(outcome(), far, spreads(0.96, 0.97, 0.98))
    assert "outside of its interval over 3 seeds" in summary_of(held, 3)


def test_benchmarks_meet_in_their_intervals() -> None:
    def timed(middle: float) -> Outcome:
        names = ("median_low_ms", "median_ms", "median_high_ms")
        values = zip(names, (middle - 0.02, middle, middle + 0.02), strict=True)
        return outcome(None, metrics=dict(values))

    assert reproduction(timed(1.0), timed(1.03)).verdict == "reproduced"
    assert reproduction(timed(1.0), timed(1.05)).verdict == "differs"
    assert reproduction(timed(1.0), outcome(None, metrics={})).verdict == "differs"
