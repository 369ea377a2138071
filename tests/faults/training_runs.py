"""Runs of real training in a database: submitted, looked at, and compared by their weights."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import func, select

from db import submissions
from db.engine import Database
from db.models import Attempt, Checkpoint, Result, Trial
from db.states import TERMINAL, TrialState
from labpool.catalog import Catalog
from labpool.planning import plan
from labpool.settings import CHECKOUT
from tests.support.pool import person

INTERVAL_EPOCHS: Final = 2
SPEC: Final[Mapping[str, Any]] = {
    "kind": "train",
    "model": "mlp",
    "parameters": {"hidden": [64, 64], "dropout": 0.3},
    "dataset": "digits",
    "optimizer": "momentum",
    "learning_rate": 0.01,
    "learning_rate_decay": 0.999,
    "batch_size": 8,
    "checkpoint_every_epochs": INTERVAL_EPOCHS,
}
# What must be the same, beside both digests of weights.
MEASURED: Final = ("test_accuracy", "test_loss", "val_accuracy", "val_loss", "best_epoch")


class TrainingRuns:
    """The runs of one database, all of the same length."""

    def __init__(self, database: Database, epochs: int) -> None:
        self._database = database
        self._epochs = epochs
        self._catalog = Catalog.load([CHECKOUT / "catalog"])

    def submit(self, seed: int) -> int:
        """A new trial's id."""
        planned = plan({**SPEC, "epochs": self._epochs, "seed": seed}, self._catalog)
        return self._database.run(
            lambda session: submissions.submit(session, person(session), planned).trial_ids[0]
        )

    def state(self, trial_id: int) -> TrialState:
        """Where it is now."""
        with self._database.snapshot() as session:
            return session.get_one(Trial, trial_id).state

    def is_over(self, trial_id: int) -> bool:
        """Whether it has come to an end."""
        return self.state(trial_id) in TERMINAL

    def at_work(self, trial_id: int, known: Collection[int]) -> int | None:
        """The fence of its attempt that has begun, unless it is one of those known."""
        with self._database.snapshot() as session:
            attempt = session.scalars(
                select(Attempt)
                .join(Trial, (Trial.id == Attempt.trial_id) & (Trial.fence == Attempt.fence))
                .where(Trial.id == trial_id, Attempt.ended_at.is_(None))
            ).one_or_none()
            has_begun = attempt is not None and attempt.environment
            return attempt.fence if attempt and has_begun and attempt.fence not in known else None

    def checkpoints(self, trial_id: int, fence: int) -> int:
        """How many an attempt has recorded."""
        with self._database.snapshot() as session:
            found = session.scalar(
                select(func.count())
                .select_from(Checkpoint)
                .where(Checkpoint.trial_id == trial_id, Checkpoint.fence == fence)
            )
            return found or 0

    def barren(self, trial_id: int) -> int:
        """Attempts that ended since the one that made the newest checkpoint."""
        with self._database.snapshot() as session:
            newest = session.scalar(
                select(func.max(Checkpoint.fence)).where(Checkpoint.trial_id == trial_id)
            )
            found = session.scalar(
                select(func.count())
                .select_from(Attempt)
                .where(
                    Attempt.trial_id == trial_id,
                    Attempt.ended_at.is_not(None),
                    Attempt.fence > (newest or 0),
                )
            )
            return found or 0

    def worst_epochs_lost(self, trial_id: int, done: Mapping[int, int]) -> int:
        """The most that an attempt had ``done``, by fence, beyond where the next one went on."""
        with self._database.snapshot() as session:
            attempts = session.scalars(
                select(Attempt).where(Attempt.trial_id == trial_id).order_by(Attempt.fence)
            ).all()
        return max(
            (
                max(done.get(killed.fence, 0), killed.resumed_epoch or 0)
                - (following.resumed_epoch or 0)
                for killed, following in pairwise(attempts)
            ),
            default=0,
        )

    def are_equal(self, one_id: int, other_id: int) -> bool:
        """Whether both succeeded with the same weights, bit for bit, and the same figures."""
        with self._database.snapshot() as session:
            one, other = session.get(Result, one_id), session.get(Result, other_id)
            if one is None or other is None:
                trials = [session.get_one(Trial, number) for number in (one_id, other_id)]
                print([(trial.state, trial.reason) for trial in trials], file=sys.stderr)
                return False
            digests = ("weights_sha256", "best_weights_sha256")
            return all(one.summary[key] == other.summary[key] for key in digests) and all(
                one.metrics[key] == other.metrics[key] for key in MEASURED
            )
