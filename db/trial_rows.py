"""A planned trial as a row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from db.models import Trial
from db.priorities import CLASSES, NORMAL
from labpool.planning import TrialPlan

# What two runs of one configuration may differ in.
_NOT_CONFIGURATION = {
    "name", "notes", "tags", "seed", "device", "time_limit_s", "stall_limit_s", "priority",
    # Either engine ends with the same weights.
    "engine",
}  # fmt: skip


def configuration_digest(spec: Mapping[str, Any]) -> str:
    """The same for two trials that differ in their seed alone, say."""
    kept = {name: value for name, value in spec.items() if name not in _NOT_CONFIGURATION}
    return sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def trial_row(plan: TrialPlan, experiment_id: int, owner_id: int, now: float) -> Trial:
    """The trial, not stored yet, of nobody's search."""
    return Trial(
        experiment_id=experiment_id,
        number=plan.number,
        point=plan.number,
        owner_id=owner_id,
        kind=plan.kind,
        spec=dict(plan.spec),
        varied=dict(plan.varied),
        device=plan.device,
        seed=plan.seed,
        code_name=plan.code_name,
        code_digest=plan.code_digest,
        data_name=plan.data_name,
        data_digest=plan.data_digest,
        configuration_digest=configuration_digest(plan.spec),
        fuse_key=plan.fuse_key,
        trace_key=plan.trace_key,
        priority=CLASSES[plan.spec.get("priority", NORMAL)],
        queued_at=now,
    )
