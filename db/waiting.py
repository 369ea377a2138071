"""Why a trial waits."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import clock
from db.fairness import Rules
from db.models import Slot, Trial, Worker
from db.queue_order import told_ahead
from db.states import SlotState, TrialState
from db.workers import alive


class Waiting:
    """The pool as it is now, asked about one trial after another."""

    def __init__(self, session: Session, only: Collection[int] | None = None) -> None:
        """`only` are the ids of the trials that will be asked about, where they are known."""
        self._session = session
        self._only = only
        self._now = clock.now(session)
        rows = session.execute(
            select(Slot, Worker).join(Worker, Worker.id == Slot.worker_id).where(alive())
        )
        self._all = [(slot, worker) for slot, worker in rows]
        self._places: dict[int, int] | None = None
        self._slots = [pair for pair in self._all if pair[0].state is SlotState.READY]

    def why(self, trial: Trial) -> str | None:
        """One sentence, or None when the trial is not waiting."""
        if trial.state is TrialState.PAUSED:
            return "It is paused; its checkpoint is kept."
        if trial.state is not TrialState.QUEUED:
            return None
        if trial.held:
            return "It is held back until somebody lets it go."
        if trial.not_before is not None and trial.not_before > self._now:
            wait_s = trial.not_before - self._now
            return f"It waits {wait_s:.0f} s before the next try: {trial.reason}"
        return self.lacking(trial) or self._turn(trial)

    def lacking(self, trial: Trial) -> str | None:
        """What ``trial`` needs and the pool does not have; None when it only waits its turn."""
        if not self._all:
            return "No worker is connected; start one with `labpool worker`."
        if not self._slots:
            return "Every slot is quarantined; an admin has to clear one."
        fitting = [pair for pair in self._slots if trial.device in ("any", pair[0].device)]
        if not fitting:
            return f"It needs a {trial.device.upper()} slot; the pool has none at present."
        able = [pair for pair in fitting if trial.kind in pair[0].kinds]
        if not able:
            lacks = "pycuda" if trial.kind == "benchmark" else "TensorFlow"
            return (
                f"It needs a {trial.device.upper()} slot for {trial.kind} trials; "
                f"the workers of the pool have no {lacks}."
            )
        if not any(trial.code_digest in worker.code_digests for _, worker in able):
            return _wants(trial.code_name, trial.code_digest)
        if trial.data_digest is not None and not any(
            trial.data_digest in worker.data_digests for _, worker in able
        ):
            return _wants(trial.data_name or "", trial.data_digest)
        return None

    def _turn(self, trial: Trial) -> str:
        if self._places is None:
            self._places = {
                row.waiter.trial_id: row.place for row in told_ahead(self._session, Rules())
            }
        ahead = self._places.get(trial.id, 1) - 1
        if ahead == 0:
            return "It is next; it starts when a slot is free."
        return f"At most {ahead} wait before it; it starts when a slot is free."


def why_waiting(session: Session, trial: Trial) -> str | None:
    """Why ``trial`` waits, or None when it does not."""
    return Waiting(session, [trial.id]).why(trial)


def reasons(session: Session, trial_ids: Collection[int]) -> dict[int, str]:
    """Why each of these trials waits, by id; those that do not are left out."""
    if not trial_ids:
        return {}
    waiting = Waiting(session, trial_ids)
    trials = session.scalars(select(Trial).where(Trial.id.in_(trial_ids))).all()
    return {trial.id: why for trial in trials if (why := waiting.why(trial)) is not None}


def _wants(name: str, digest: str) -> str:
    return (
        f"No worker has the {name!r} that it was made from (digest {digest[:12]}); "
        "restart the workers on the version of the catalog that holds it, or submit it again."
    )
