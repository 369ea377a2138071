"""The short form of the chaos run: real processes, each kind of fault once, on both databases."""

from __future__ import annotations

import dataclasses
import random

import pytest

from tests.faults import chaos
from tests.faults.plans import FULL, QUICK, submissions
from tests.faults.schedule import WEIGHTS, draw

# Waits are bounded inside; a machine with other work takes its time.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_nothing_is_lost_or_doubled(kind: str) -> None:
    outcome = chaos.run(kind, QUICK, chaos.QUICK_SEED)
    assert outcome.violations == []
    assert outcome.trials >= QUICK.paced
    assert outcome.states["succeeded"] > 0
    assert outcome.faults >= QUICK.faults / 2
    # Nothing of it may be skipped in silence: the checks in the midst of it ran too.
    assert outcome.looks > 0
    assert outcome.done.keys() == set(chaos.DONE)
    assert min(outcome.done.values()) > 0


def test_a_seed_draws_the_same_faults_again() -> None:
    count = len(WEIGHTS)
    faults = draw(7, count, 60.0, 4.0)
    assert faults == draw(7, count, 60.0, 4.0)
    assert faults != draw(8, count, 60.0, 4.0)
    assert {fault.what for fault in faults} == set(WEIGHTS)
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
    assert "database" not in {fault.what for fault in draw(7, 200, 60.0, 4.0, ["database"])}


def test_a_seed_draws_the_same_submissions_again() -> None:
    size = dataclasses.replace(FULL, people=2)
    plans = [submissions(size, random.Random(3), ["ada", "ben"]) for _ in range(2)]
    assert plans[0] == plans[1]
    specs = [one.spec for plan in plans[0].values() for one in plan]
    trials = sum(len(spec["space"]["seed"]) if "space" in spec else 1 for spec in specs)
    assert trials >= size.paced
