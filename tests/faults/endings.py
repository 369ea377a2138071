"""How a trial may leave RUNNING by its owner: in `db/`, and in the model."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from db import owner
from tests.faults import expected

_Real = Callable[[Session, int, int], None]
_Told = Callable[[expected.Pool, expected.Trial], None]
ENDS: dict[str, tuple[_Real, _Told]] = {
    "succeed": (
        lambda session, trial_id, fence: owner.succeed(session, trial_id, fence, {"x": 1.0}, {}),
        lambda pool, trial: pool.succeed(trial, False),
    ),
    "stopped": (
        lambda session, trial_id, fence: owner.succeed(session, trial_id, fence, {}, {}, True),
        lambda pool, trial: pool.succeed(trial, True),
    ),
    "fail": (
        lambda session, trial_id, fence: owner.fail(session, trial_id, fence, "diverged", "NaN"),
        lambda pool, trial: pool.fail(trial, "diverged"),
    ),
    "gpu_fault": (
        lambda session, trial_id, fence: owner.fail(session, trial_id, fence, "gpu_fault", "x"),
        lambda pool, trial: pool.fail(trial, "gpu_fault"),
    ),
    "out_of_memory": (
        lambda session, trial_id, fence: owner.fail(session, trial_id, fence, "out_of_memory", "x"),
        lambda pool, trial: pool.fail(trial, "out_of_memory"),
    ),
    "cancel": (
        lambda session, trial_id, fence: owner.cancel(session, trial_id, fence, "x"),
        lambda pool, trial: pool.leave(trial, "cancelled"),
    ),
    "pause": (
        owner.pause,
        expected.Pool.pause,
    ),
    "release": (
        lambda session, trial_id, fence: owner.release(session, trial_id, fence, "x"),
        lambda pool, trial: pool.release(trial),
    ),
    "alone": (
        lambda session, trial_id, fence: owner.release(session, trial_id, fence, "x", alone=True),
        lambda pool, trial: pool.release(trial, alone=True),
    ),
    "later": (
        lambda session, trial_id, fence: owner.release(session, trial_id, fence, "x", delay_s=50),
        lambda pool, trial: pool.release(trial, 50.0),
    ),
}
