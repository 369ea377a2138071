"""A searched sweep lived through on one simulated slot, which may be killed at any write."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import claims, findings, owner, replay, searching, sweeper
from db.engine import Database
from db.models import Experiment, SweepReport, Trial
from db.searching.rows import rows_of, sweep_spec
from db.states import Wish
from labpool import search
from labpool.catalog import Catalog
from tests.support.pool import person, slot, step_clock, submitted

T = TypeVar("T")
TTL_S = 90.0
METRIC = "val_accuracy"
ASHA: dict[str, Any] = {
    "kind": "sweep",
    "base": {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 4},
    "strategy": {
        "method": "random", "trials": 4, "seed": 3,
        "pruner": {"method": "asha", "min_epochs": 1, "reduction": 2},
    },
    "objective": {"metric": METRIC, "direction": "maximize"},
    "space": {"learning_rate": {"low": 0.001, "high": 1.0, "scale": "log"}},
}  # fmt: skip
MEDIAN: dict[str, Any] = {
    **ASHA,
    "strategy": {
        "method": "random", "trials": 4, "seed": 3,
        "pruner": {"method": "median", "min_trials": 2},
    },
}  # fmt: skip


# It stays with its first points, for which it needs no estimator.
TPE: dict[str, Any] = {
    **ASHA,
    "base": {**ASHA["base"], "epochs": 1},
    "strategy": {
        "method": "tpe", "trials": 5, "seed": 3, "startup_trials": 20, "at_once": 2,
    },
}  # fmt: skip


class Killed(Exception):
    """The slot's process is gone."""


Cut = tuple[int, Literal["before", "after"]]
"""At which write the slot is killed, and whether before or after its COMMIT."""


class Life:
    """A sweep from its submission to its end."""

    def __init__(
        self,
        database: Database,
        catalog: Catalog,
        raw: Mapping[str, Any],
        cut: Cut | None = None,
        name: str = "ada",
    ) -> None:
        self.database, self.catalog, self.cut = database, catalog, cut
        self.writes = 0
        self.kills = 0
        with database.transaction() as session:
            self.ids = submitted(session, catalog, person(session, name), raw)
            self.experiment = session.get_one(Trial, self.ids[0]).experiment_id
        self._restart()

    def go(self, claims_at_most: int = 1000) -> None:
        """Until the slot finds nothing more."""
        for _ in range(claims_at_most):
            try:
                if not self.one():
                    return
            except Killed:
                self.kills += 1
                self._recover()

    def claim_or_none(self) -> claims.Claim | None:
        """What the slot gets."""
        return self.write(lambda session: claims.claim(session, self.slot, TTL_S))

    def claim(self) -> claims.Claim:
        """The same, where there is something."""
        found = self.claim_or_none()
        assert found is not None
        return found

    def to_be_pruned(self) -> claims.ClaimedTrial:
        """Go on until the search wants a running trial ended; that trial, still at work."""
        while True:
            work = self.claim().trials[0]
            for epoch in range(1, work.spec["epochs"]):
                self.write(partial(self._epoch, work=work, epoch=epoch))
                row = next(row for row in self.trials() if row.id == work.trial_id)
                if row.wish is Wish.PRUNE:
                    return work
            self.write(partial(self._succeed, work=work, epoch=work.spec["epochs"]), moves=True)

    def one(self) -> bool:
        """Claim a trial and carry it out; False when there is none."""
        found = self.claim_or_none()
        if found is None:
            return False
        self.carry_out(found.lease_id, found.trials[0])
        return True

    def carry_out(self, lease: int, work: claims.ClaimedTrial) -> None:
        """As a slot and its runner do."""
        epoch, wish = (work.resume.epoch if work.resume else 0), work.wish
        while True:
            if wish is Wish.PRUNE:
                self.write(
                    lambda session: owner.prune(session, work.trial_id, work.fence), moves=True
                )
                return
            if epoch == work.spec["epochs"] or wish is Wish.STOP:
                self.write(partial(self._succeed, work=work, epoch=epoch), moves=True)
                return
            if wish is Wish.PAUSE or (work.halts_at is not None and epoch >= work.halts_at):
                self.write(partial(self._pause, work=work, epoch=epoch), moves=True)
                return
            epoch += 1
            self.write(partial(self._epoch, work=work, epoch=epoch))
            fences = {work.trial_id: work.fence}
            with self.database.transaction() as session:
                beat = owner.heartbeat(session, lease, fences, TTL_S)
            wish = beat.wishes.get(work.trial_id)

    def write(self, work: Callable[[Session], T], moves: bool = False) -> T:
        """A transaction of the slot's, or its end; what must hold is asked after it.

        ``moves``: it moves the trial, so the search has done what there was to do.
        """
        self.writes += 1
        mine = self.cut is not None and self.cut[0] == self.writes
        with self.database.transaction() as session:
            found = work(session)
            session.flush()
            if mine and self.cut is not None and self.cut[1] == "before":
                raise Killed
        if mine:
            raise Killed
        if moves:
            self.check()
        return found

    def check(self) -> None:
        """The search has nothing to add, the events tell the rows, every point was made once."""
        with self.database.snapshot() as session:
            experiment = session.get_one(Experiment, self.experiment)
            spec = sweep_spec(experiment)
            rows = rows_of(session, experiment, spec)
            assert experiment.search_halt is not None or not self.open_actions(session)
            assert len({row.number for row in rows}) == len(rows) <= search.count(spec)

    def open_actions(self, session: Session) -> list[search.Action]:
        """What the search wants done that could be done."""
        experiment = session.get_one(Experiment, self.experiment)
        spec = sweep_spec(experiment)
        mine = select(Trial).where(Trial.experiment_id == self.experiment)
        trials = {row.id: row for row in session.scalars(mine)}
        return [
            action
            for action in search.advance(spec, rows_of(session, experiment, spec))
            # What was asked of a running trial is done at its slot's next heartbeat.
            if isinstance(action, search.Create) or trials[action.trial_id].wish is None
        ]

    def agrees(self) -> bool:
        """Whether the events tell the rows."""
        with self.database.snapshot() as session:
            return not list(replay.differences(session))

    def table(self) -> list[tuple[Any, ...]]:
        """Of each point its rung, its end, its values and its reports."""
        with self.database.snapshot() as session:
            rows = session.scalars(
                select(Trial)
                .where(Trial.experiment_id == self.experiment, Trial.point.is_not(None))
                .order_by(Trial.point)
            ).all()
            return [
                (row.point, row.rung, row.state.value, row.varied, self._reports(session, row.id))
                for row in rows
            ]

    def trials(self) -> list[Trial]:
        """Its rows by number."""
        with self.database.snapshot() as session:
            return list(session.scalars(
                select(Trial).where(Trial.experiment_id == self.experiment).order_by(Trial.number)
            ))  # fmt: skip

    def _reports(self, session: Session, trial_id: int) -> dict[int, float | None]:
        rows = session.scalars(
            select(SweepReport).where(SweepReport.trial_id == trial_id).order_by(SweepReport.epoch)
        )
        return {row.epoch: row.value for row in rows}

    def _epoch(self, session: Session, work: claims.ClaimedTrial, epoch: int) -> None:
        value = surface(work.spec["learning_rate"], epoch)
        chunk = findings.Chunk(METRIC, [10 * epoch], [float(epoch)], [0.1], [value])
        step = findings.Chunk("step_loss", [10 * epoch - 5], [epoch - 0.5], [0.1], [1.0])
        done = (float(epoch), float(work.spec["epochs"]), "epoch")
        findings.record_metrics(session, work.trial_id, work.fence, [step, chunk], done)
        key = f"trials/{work.trial_id}/{work.fence}/epoch-{epoch}.npz"
        point = findings.CheckpointRecord(epoch, key, "0" * 64, 10, value, False)
        findings.record_checkpoint(session, work.trial_id, work.fence, point)

    def _pause(self, session: Session, work: claims.ClaimedTrial, epoch: int) -> None:
        owner.pause(session, work.trial_id, work.fence, epoch=epoch)

    def _succeed(self, session: Session, work: claims.ClaimedTrial, epoch: int) -> None:
        metrics = {METRIC: surface(work.spec["learning_rate"], epoch)}
        early = epoch < work.spec["epochs"]
        owner.succeed(session, work.trial_id, work.fence, metrics, {}, early)

    def _recover(self) -> None:
        """Its worker is dead: the sweeper takes back what it held, and another one starts."""
        step_clock(self.database, TTL_S + 1)
        with self.database.transaction() as session:
            sweeper.sweep_expired(session)
        self.check()
        step_clock(self.database, 1000.0)
        self._restart()

    def _restart(self) -> None:
        with self.database.transaction() as session:
            self.slot = slot(session, self.catalog)


def surface(rate: float, epoch: int) -> float:
    """How good a trial is after an epoch: it gets better, and is best at a rate of 0.1."""
    return 1.0 - abs(math.log10(rate) + 1.0) / 4.0 - 0.1 / epoch


def locked(database: Database, experiment: int) -> int:
    """What a further step of the search does: nothing."""
    with database.transaction() as session:
        [sweep] = searching.lock_sweeps(session, Trial.experiment_id == experiment)
        return searching.advance(session, sweep)
