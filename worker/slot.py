"""A slot: a GPU, or a share of one or of the processor, carrying out trial after trial."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy.orm import Session

from db import claims, owner
from db.claims import Claim, SlotIdentity
from db.errors import TracedElsewhere
from db.fairness import Rules
from worker import scratch
from worker.allocation import Allocation
from worker.database_access import DatabaseAway
from worker.devices import Device
from worker.fitness import Fitness
from worker.gains import gains_of
from worker.holding import Holding
from worker.host import Host
from worker.process import COMMAND
from worker.resting import Resting
from worker.runners import Runners
from worker.watched import WatchedRunner

logger = logging.getLogger(__name__)

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 300.0
# How soon to look again at what keeps a slot from claiming: no bell rings when it goes.
LOOK_AGAIN_S = 5.0
# Soon enough for who waits for the GPU's memory, and long enough to stay warm between trials.
IDLE_ON_GPU_S = 60.0
GPU_HELD = "another process of labpool holds the GPU"


class Slot:
    """A thread that looks for work, and a runner kept warm for it.

    The thread lives as long as the worker: runners are spawned from it, and the kernel ends them
    with it.
    """

    def __init__(
        self, host: Host, index: int, device: Device, command: Sequence[str] = COMMAND
    ) -> None:
        self.index = index
        self.device = device
        self._host = host
        self._identity: SlotIdentity | None = None
        self._allocation: Allocation | None = None
        self._on_my_gpu: list[Slot] = [self]
        self._seat = Resting().seat(device.kind)
        self._fitness = Fitness(host, index, device)
        self._wake = threading.Event()
        self._runners = Runners(host, index, device, command, self._wake.set)
        self._stopping = threading.Event()
        self._give_up_at_s: float | None = None
        self._gains = gains_of(host.settings.data_dir, device)
        self._troubles = 0
        self._worked_until_s = host.clock()
        self._claim_unanswered = False
        self._does = "starting"
        self._thread = threading.Thread(target=self._run, name=f"slot {index}", daemon=True)

    def meet(self, slots: Sequence[Slot], resting: Resting) -> None:
        """Get to know the worker's other slots, before the start."""
        self._seat = resting.seat(self.device.kind)
        uuid = self.device.gpu_uuid
        self._on_my_gpu = [one for one in slots if one is self or one.device.gpu_uuid == uuid]

    def start(self) -> None:
        """Start the thread; it claims nothing before `enrol`."""
        self._thread.start()

    def enrol(self, identity: SlotIdentity) -> None:
        """The slot is known to the database: it may claim from now on."""
        self._identity = identity
        self._wake.set()

    def ring(self) -> None:
        """There may be work, or a request to cancel. Returns at once, from any thread."""
        self._wake.set()
        allocation = self._allocation
        if allocation is not None:
            allocation.ring()

    def stop(self) -> None:
        """Claim nothing more and give back what runs; returns at once."""
        if self._give_up_at_s is None:
            self._give_up_at_s = self._host.clock() + self._host.settings.drain_grace_s
        self._stopping.set()
        self.ring()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; False when it has not ended in time."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    @property
    def is_busy(self) -> bool:
        """Whether it holds a trial."""
        return self._allocation is not None

    @property
    def may_hold_memory(self) -> bool:
        """Whether its runner may hold memory of the GPU; from any thread."""
        runner = self._runners.current
        return runner is not None and runner.was_given_work

    def lend_standby(self) -> WatchedRunner | None:
        """Its standby, for good, if there is one to spare; from any thread."""
        return self._runners.lend_standby()

    def describe(self) -> dict[str, Any]:
        """What the slot is and does, for people."""
        return {"device": self.device.kind, "name": self.device.label, "does": self._does}

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                # Cleared before the look: a ring during it must lead to another.
                self._wake.clear()
                self._wake.wait(self._cycle())
        finally:
            self._seat.rise()
            self._runners.retire_all()
            self._does = "stopped"

    def _cycle(self) -> float:
        """Look for work until there is none; how long to wait then, in seconds."""
        try:
            if self._is_out_of_service():
                return self._host.settings.poll_s
            self._runners.warm_up()
            return self._drain()
        except DatabaseAway:
            self._seat.rise()
            return self._backoff_s(self._host.settings.poll_s)
        except Exception:
            # Whatever it was, this thread is the slot: it goes on, slower each time.
            logger.exception("slot %d is in trouble", self.index)
            self._seat.rise()
            self._runners.retire_all()
            self._troubles += 1
            return self._backoff_s(LONGEST_BACKOFF_S)

    def _drain(self) -> float:
        identity = self._identity
        if identity is None:
            return self._host.settings.poll_s
        self._does = "idle"
        elsewhere = self._seat.elsewhere()
        while not self._stopping.is_set():
            left: str | None = None
            if not self._runners.take_the_gpu():
                return self._held_up(identity, GPU_HELD)
            try:
                worked = any(slot.may_hold_memory for slot in self._on_my_gpu)
                hindrance = self._fitness.hindrance(worked, self._runners.gpu_lock)
                if hindrance is not None:
                    return self._held_up(identity, hindrance)
                self._fitness.tell(identity.slot_id, None)
                claimed_at_s = self._host.lease_clock()
                claim = self._claim(identity, elsewhere)
                if claim is None:
                    break
                holding = self._carry_out(claim, claimed_at_s)
                if not self._gpu_works_after(holding, identity):
                    return 0.0
            except TracedElsewhere as head:
                left = head.detail
            finally:
                self._runners.let_go_of_the_gpu()
            # Once for each time that it wakes: from now on whoever comes first takes it.
            elsewhere = frozenset()
            if left is not None:
                self._seat.leave(left)
                continue
            if self._troubles:
                return self._backoff_s(LONGEST_BACKOFF_S)
            self._runners.warm_up()
        self._vacate_the_gpu(IDLE_ON_GPU_S)
        self._runners.prepare_standby()
        self._seat.rest(runner.traced if (runner := self._runners.current) else ())
        return self._host.settings.poll_s * random.uniform(0.5, 1.5)  # noqa: S311 - jitter

    def _held_up(self, identity: SlotIdentity, hindrance: str) -> float:
        """Say why nothing is claimed; how long to wait, in seconds."""
        self._does = f"waiting: {hindrance}"
        self._seat.rise()
        self._fitness.tell(identity.slot_id, hindrance)
        self._vacate_the_gpu(0.0)
        return LOOK_AGAIN_S

    def _vacate_the_gpu(self, idle_s: float) -> None:
        """Start a new runner: one that worked keeps memory there, which others may want."""
        runner = self._runners.current
        if self._runners.gpu_lock is None or runner is None or not runner.was_given_work:
            return
        if self._host.clock() - self._worked_until_s >= idle_s:
            self._runners.retire()
            self._runners.warm_up()

    def _is_out_of_service(self) -> bool:
        if self._identity is None:
            return False
        reason = self._fitness.out_of_service(self._identity.slot_id)
        if reason is not None:
            self._does = f"out of service: {reason}"
            self._seat.rise()
            self._runners.retire_all()
        return reason is not None

    def _gpu_works_after(self, holding: Holding, identity: SlotIdentity) -> bool:
        """Whether it does; one with a fault is tried, and put out of service if it fails that."""
        if holding.gpu_fault is None:
            return True
        self._runners.retire_all()
        trouble = holding.gpu_trouble or self._trouble_with_the_gpu()
        if trouble is None:
            return True
        self._fitness.quarantine(identity.slot_id, trouble, holding.gpu_fault, self._must_give_up)
        return False

    def _trouble_with_the_gpu(self) -> str | None:
        self._does = "examining its GPU"
        return self._fitness.trouble(self._stopping.is_set, self._runners.shared)

    def _claim(self, identity: SlotIdentity, elsewhere: Collection[str]) -> Claim | None:
        if self._claim_unanswered:
            # It may have been committed: then the slot holds a trial that it does not know of.
            self._host.database.write(lambda session: claims.give_back(session, identity))
            self._claim_unanswered = False
        ttl_s, rules = self._host.settings.lease_ttl_s, Rules.of(self._host.settings)
        if not self._host.database.read(lambda read: claims.has_work(read, identity, rules)):
            return None
        runner = self._runners.current
        traced = tuple(runner.traced) if runner is not None else ()
        sizes = self._gains.sizes()
        try:
            return self._host.database.write(
                lambda session: claims.claim(
                    session,
                    identity,
                    ttl_s,
                    most=sizes,
                    rules=rules,
                    traced=traced,
                    elsewhere=elsewhere,
                )
            )
        except DatabaseAway:
            self._claim_unanswered = True
            raise

    def _carry_out(self, claim: Claim, claimed_at_s: float) -> Holding:
        """Run what was claimed."""
        self._seat.rise()
        trials = ", ".join(f"{trial.trial_id} (fence {trial.fence})" for trial in claim.trials)
        self._does = f"trial {trials}"
        logger.info("slot %d: trial %s", self.index, trials)
        try:
            runner = self._runners.warm_up()
            self._runners.prepare_standby()
            holding = Holding(
                self._host,
                self.index,
                claim,
                claimed_at_s,
                runner,
                self._must_give_up,
                self._trouble_with_the_gpu,
                self._gains,
            )
        except OSError as error:
            self._give_back(claim, f"No folder or runner could be made for it: {error}")
            raise
        self._allocation = Allocation(holding, self._stopping.is_set)
        try:
            self._allocation.carry_out()
        finally:
            self._allocation = None
            self._does = "idle"
            self._worked_until_s = self._host.clock()
            for attempt in holding.attempts:
                scratch.remove(attempt.folder)
            self._runners.retire_if_worn()
        self._troubles = self._troubles + 1 if holding.runner_never_ready else 0
        return holding

    def _give_back(self, claim: Claim, reason: str) -> None:
        def release(session: Session) -> None:
            for trial in claim.trials:
                owner.release(session, trial.trial_id, trial.fence, reason, reason_kind="no_runner")

        self._host.database.write(release)

    def _must_give_up(self) -> bool:
        return self._give_up_at_s is not None and self._host.clock() >= self._give_up_at_s

    def _backoff_s(self, longest_s: float) -> float:
        pause_s = FIRST_BACKOFF_S * 2.0 ** min(self._troubles, 16)
        return min(pause_s, longest_s) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
