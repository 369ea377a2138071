"""What may befall a pool: hypothesis does it to the real `db/` code and to the model of it."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from sqlalchemy import update
from sqlalchemy.orm import Session

from db import checkpoints, claims, commands, findings, owner, submissions, sweeper, workers
from db.errors import NotPossible
from db.models import Base, Trial, User, Worker
from tests.faults import expected, expected_asks
from tests.faults.driven import TTL_S, DrivenPool, Holding, pick, picks
from tests.faults.endings import ENDS
from tests.faults.expected_groups import Measured
from tests.faults.submitting import FUSE_KEY, GROUPS, WANTED, sizes
from tests.support.pool import person, slot

__all__ = ["TTL_S", "Holding", "PoolRules", "pick", "picks"]

# No sum of these meets a lease's length or a delay exactly.
STEPS_S = (7.3, 40.7, 101.9)


class PoolRules(DrivenPool):
    """A pool with two people and three slots. A subclass names the database."""

    @initialize()
    def begin(self) -> None:
        """An empty pool."""
        with self.transaction() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())
        with self.transaction() as session:
            self.people = [person(session, name).id for name in ("ada", "ben")]
            self.slots = [slot(session, self.catalog) for _ in range(3)]
        self.signs = {one.worker_id: self.pool.now for one in self.slots}
        self.submit("group", 0)

    # What people do.

    @rule(kind=st.sampled_from(("single", *GROUPS, "benchmark")), who=st.integers(0, 1))
    def submit(self, kind: str, who: int) -> None:
        """One experiment more."""
        if len(self.pool.trials) > 9:
            return
        with self.transaction() as session:
            person = session.get_one(User, self.people[who])
            made = submissions.submit(session, person, self.plans[kind])
        for trial_id in made.trial_ids:
            self.pool.trials[trial_id] = expected.Trial(
                trial_id, made.experiment_id, self.people[who],
                FUSE_KEY if kind in GROUPS else None, kind == "benchmark",
                fuse=GROUPS.get(kind, "off"),
            )  # fmt: skip

    @precondition(lambda self: self.pool.trials)
    @rule(command=st.sampled_from(("cancel", "pause", "resume", "stop")), which=picks)
    def ask(self, command: str, which: int) -> None:
        """Somebody asks something of a trial."""
        trials = sorted(self.pool.trials.values(), key=lambda trial: trial.state == "running")
        self._ask(pick(trials, which), command)

    def _ask(self, trial: expected.Trial, command: str) -> None:
        def real(session: Session) -> None:
            row = session.get_one(Trial, trial.id)
            user = session.get_one(User, trial.owner)
            getattr(commands, f"{command}_trial")(session, row, user)

        self._both(real, lambda: expected_asks.ask(trial, command), NotPossible)

    @precondition(lambda self: any(t.state in expected.ENDED for t in self.pool.trials.values()))
    @rule(which=picks)
    def retry(self, which: int) -> None:
        """A new trial like an ended one."""
        old = pick([t for t in self.pool.trials.values() if t.state in expected.ENDED], which)
        if len(self.pool.trials) > 11:
            return
        with self.transaction() as session:
            row, user = session.get_one(Trial, old.id), session.get_one(User, old.owner)
            new = commands.retry_trial(session, row, user)
        self.pool.trials[new] = expected.Trial(
            new, old.experiment, old.owner, old.fuse_key, old.benchmark, fuse=old.fuse
        )

    # What slots do.

    @rule(which=picks, most=st.sampled_from(WANTED))
    def claim(self, which: int, most: int | Measured) -> None:
        """A slot looks for work."""
        identity = pick(sorted(self.slots, key=self._may_claim), which)
        with self.transaction() as session:
            found = claims.claim(session, identity, TTL_S, sizes(most))
        if not self._may_claim(identity):
            assert found is None, "this slot may not claim"
            return
        if found is None:
            assert not self.pool.eligible(), "a free slot leaves nothing waiting"
            return
        ids = [member.trial_id for member in found.trials]
        resumes = {trial_id: self.pool.trials[trial_id].resume for trial_id in ids}
        told = self._companions(ids[0], identity, most)
        self.pool.claimed(identity.slot_id, found.lease_id, ids, TTL_S, told)
        for member in found.trials:
            trial = self.pool.trials[member.trial_id]
            point = member.resume and (member.resume.epoch, member.resume.fence)
            assert (member.fence, member.wish) == (trial.fence, trial.wish)
            assert point == resumes[member.trial_id], "a resume starts at the newest"
        fences = {member.trial_id: member.fence for member in found.trials}
        self.holdings.append(Holding(found.lease_id, identity.slot_id, fences))

    @precondition(lambda self: self.holdings)
    @rule(which=picks)
    def beat(self, which: int) -> None:
        """A heartbeat, however late."""
        holding = pick(self.holdings, which)
        with self.transaction() as session:
            beat = owner.heartbeat(session, holding.lease, holding.fences, TTL_S)
        told = self.pool.beat(holding.lease, holding.fences, TTL_S)
        assert (set(beat.alive), set(beat.cancel), dict(beat.wishes)) == told

    @precondition(lambda self: self.holdings)
    @rule(which=picks, member=picks, epochs=st.integers(1, 2), best=st.booleans())
    def checkpoint(self, which: int, member: int, epochs: int, best: bool) -> None:
        """A checkpoint, a step further than the last there is."""
        trial_id, fence = self._member(which, member)
        epoch = max((p.epoch for p in self.pool.trials[trial_id].points), default=0) + epochs
        record = findings.CheckpointRecord(
            epoch, f"trials/{trial_id}/{fence}/{epoch}", "0" * 64, 1, None, best
        )

        def real(session: Session) -> None:
            findings.record_checkpoint(session, trial_id, fence, record)

        self._write(trial_id, fence, real, lambda t: self.pool.checkpoint(t, epoch, best))

    @precondition(lambda self: any(t.resume for t in self.pool.trials.values()))
    @rule(which=picks)
    def damage(self, which: int) -> None:
        """The newest checkpoint of a trial turns out not to be whole."""
        trial = pick([t for t in self.pool.trials.values() if t.resume], which)
        with self.transaction() as session:
            points = checkpoints.resume_points(session, trial.id)
            checkpoints.discard(session, points[0].checkpoint_id)
        for point in trial.points:
            if (point.epoch, point.fence) == (points[0].epoch, points[0].fence):
                point.kept = False

    @precondition(lambda self: self.holdings)
    @rule(
        which=picks, member=picks,
        end=st.sampled_from(("succeed", "stopped", "fail", "cancel", "pause", "release", "alone",
                             "later", "gpu_fault", "out_of_memory")),
    )  # fmt: skip
    def end(self, which: int, member: int, end: str) -> None:
        """The owner, or who believes to be the owner, ends a trial or gives it back."""
        trial_id, fence = self._member(which, member)
        real, told = ENDS[end]
        self._write(
            trial_id, fence, lambda session: real(session, trial_id, fence),
            lambda trial: told(self.pool, trial),
        )  # fmt: skip

    @rule(which=picks)
    def give_back(self, which: int) -> None:
        """A slot whose claim's answer was lost."""
        identity = pick(sorted(self.slots, key=self._busy), which)
        with self.transaction() as session:
            claims.give_back(session, identity)
        for trial in self.pool.trials.values():
            if trial.lease is not None and self.pool.leases[trial.lease].slot == identity.slot_id:
                if trial.cancel:
                    self.pool.leave(trial, "cancelled", charged=False)
                else:
                    self.pool.release(trial)

    @precondition(lambda self: self.holdings)
    @rule(which=picks)
    def end_lease(self, which: int) -> None:
        """Ends nothing that still holds something."""
        with self.transaction() as session:
            owner.end_lease(session, pick(self.holdings, which).lease)

    # What befalls workers.

    @rule(which=picks, drain=st.booleans())
    def drain(self, which: int, drain: bool) -> None:
        """A worker is to claim nothing more, or may again."""
        worker = pick(self.slots, which).worker_id
        with self.transaction() as session:
            value = 1.0 if drain else None
            session.execute(update(Worker).where(Worker.id == worker).values(drain_at=value))
        (self.draining.add if drain else self.draining.discard)(worker)

    @precondition(lambda self: len(self.slots) < 6)
    @rule(which=picks)
    def restart(self, which: int) -> None:
        """A worker ends without a word and another one starts."""
        with self.transaction() as session:
            old = pick(self.slots, which).worker_id
            workers.stop_worker(session, old)
            self.slots.append(slot(session, self.catalog))
        self.gone.add(old)
        self.signs[self.slots[-1].worker_id] = self.pool.now

    @rule(which=picks)
    def give_a_sign(self, which: int) -> None:
        """A worker lives, whatever its slots do."""
        worker = pick(self.slots, which).worker_id
        with self.transaction() as session:
            workers.beat_worker(session, worker)
        self.signs[worker] = self.pool.now

    @rule(step_s=st.sampled_from(STEPS_S))
    def wait(self, step_s: float) -> None:
        """Time passes."""
        self.pool.now += step_s

    @rule()
    def sweep(self) -> None:
        """Silent workers' trials are taken back, a bounded number a pass."""
        expired = {trial.id for trial in self.pool.expired()}
        running = sum(trial.state == "running" for trial in self.pool.trials.values())
        with self.transaction() as session:
            taken = sweeper.sweep_expired(session, expected.MAX_LOSSES)
        assert set(taken) <= expired
        assert len(taken) == min(len(expired), max(2, running // 4))
        for trial_id in taken:
            self.pool.take_back(self.pool.trials[trial_id])

    @rule(which=picks)
    def take_back_from_dead(self, which: int) -> None:
        """A restarted worker knows that its predecessor is dead, whatever its leases say."""
        identity = pick(sorted(self.slots, key=self._busy), which)
        held = {
            trial.id
            for trial in self.pool.trials.values()
            if trial.lease is not None and self.pool.leases[trial.lease].slot == identity.slot_id
        }
        with self.transaction() as session:
            taken = sweeper.take_back_from_dead(session, [identity.worker_id], expected.MAX_LOSSES)
        assert set(taken) == held
        for trial_id in taken:
            self.pool.take_back(self.pool.trials[trial_id])
