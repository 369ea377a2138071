"""A trial that a sweep's search wants, made from the entries that the sweep was planned with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labpool.pinning import pinned_catalog
from labpool.planning import TrialPlan, trial_plan
from labpool.search import Create
from labpool.spec import SweepSpec
from labpool.sweeping import expanded


def made(spec: SweepSpec, create: Create, made_from: Mapping[str, Mapping[str, Any]]) -> TrialPlan:
    """The trial of ``create``. A combination of values that fits nothing fails when it runs."""
    found = expanded(spec, create)
    return trial_plan(found.number, found.raw, found.values, pinned_catalog(made_from))
