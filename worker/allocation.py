"""One lease carried out: its trials handed to a runner, and all that comes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from db.claims import Claim, ClaimedTrial
from db.errors import FencedOff
from worker.aside import aside
from worker.attempt import Attempt, OtherCatalog, fetch_resume, files_of, message_of
from worker.database_access import DatabaseAway
from worker.exits import Ending
from worker.files import NotAsAnnounced
from worker.guards import Breach
from worker.host import Host
from worker.lease import LeaseKeeper
from worker.logs import TrialLog
from worker.process import RunnerGone
from worker.protocol import (
    Artifact,
    Cancel,
    Cancelled,
    Checkpoint,
    Failed,
    FromRunner,
    Hello,
    Idle,
    Metrics,
    Progress,
    Ready,
    Result,
    Run,
    Started,
)
from worker.recording import LOG_FILE, Misbehaved, Recorder
from worker.watch import Ended, Item, Rang
from worker.watched import WatchedRunner

logger = logging.getLogger(__name__)

T = TypeVar("T")

FLUSH_S = 1.0
CANCEL_GRACE_S = 10.0
IDLE_GRACE_S = 10.0
# One file that could not be stored is passed over; at the second the disk is full to stay.
MOST_REFUSALS = 2
RELEASE_DELAY_S = 30.0


class Allocation:
    """The trials of one lease on one runner, from the claim to the last answer.

    All of it happens in the slot's thread. A trial is *settled* once its end is recorded or it
    turned out to be somebody else's.
    """

    def __init__(
        self,
        host: Host,
        slot: int,
        claim: Claim,
        claimed_at_s: float,
        runner: WatchedRunner,
        stopping: Callable[[], bool],
        give_up: Callable[[], bool],
    ) -> None:
        """``stopping``: give everything back; ``give_up``: do not even wait for the database."""
        self._host = host
        self._slot = slot
        self._runner = runner
        self._stopping = stopping
        self._give_up = give_up
        self._breach: Breach | None = None
        self._flush_due_s = 0.0
        self._beaten = False
        self._is_idle = False
        self.runner_never_ready = False
        self._lease = LeaseKeeper(
            host.database,
            runner.guards,
            claim.lease_id,
            {claimed.trial_id: claimed.fence for claimed in claim.trials},
            claimed_at_s,
            host.settings.lease_ttl_s,
            host.settings.beat_s,
            host.clock,
        )
        self.attempts = [self._attempt(claimed) for claimed in claim.trials]

    def carry_out(self) -> None:
        """Do it all. The runner may be dead or not fit for another run afterwards.

        Raises DatabaseAway when the database stayed away until ``give_up``: the lease runs out.
        """
        try:
            self._begin()
            while self._open:
                self._take(self._runner.receive(self._next_chore_in_s()))
                self._chores()
            self._await_idle()
        except DatabaseAway:
            self._spoil("the database stayed away")
            raise
        except Exception:
            logger.exception("an error in labpool itself; what this slot holds fails")
            self._spoil("its slot met an error of its own")
            reason = "labpool itself went wrong here; the worker's log says how."
            for attempt in self._open:
                self._settle(attempt, partial(attempt.recorder.fail, "internal", reason))
        finally:
            self._lease.end()

    def ring(self) -> None:
        """The bell rang: there may be a request to cancel. From any thread."""
        self._runner.ring()

    @property
    def _open(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if not attempt.settled]

    def _attempt(self, claimed: ClaimedTrial) -> Attempt:
        folder = self._host.scratch.trial_folder(self._slot, claimed.trial_id, claimed.fence)
        files_of(folder).mkdir()
        log = TrialLog(folder / LOG_FILE, self._host.settings.log_limit_bytes)
        recorder = Recorder(
            self._host.database,
            self._host.store,
            claimed,
            files_of(folder),
            log,
            self._give_up,
            self._beside,
            self._host.clock,
        )
        return Attempt(claimed, folder, log, recorder)

    # What is handed out

    def _begin(self) -> None:
        for attempt in self.attempts:
            self._guarding(attempt, partial(self._prepare, attempt))
        messages = [attempt.message for attempt in self._open if attempt.message is not None]
        if not messages:
            return
        for attempt in self._open:
            claimed = attempt.claimed
            self._runner.guards.add(
                claimed.trial_id, claimed.time_limit_s, claimed.stall_limit_s, claimed.seconds_used
            )
        self._runner.guards.begin(messages[0].trial)
        self._send(Run(trials=tuple(messages)))

    def _prepare(self, attempt: Attempt) -> None:
        """Bring together what the runner needs, or give the trial back."""
        host = self._host
        fetch = partial(fetch_resume, attempt, host.database, host.store, self._give_up)
        try:
            attempt.resume = self._beside(fetch)
            attempt.message = message_of(attempt, host.catalog)
        except (OSError, OtherCatalog) as error:
            reason = f"It could not be prepared on {host.name}: {error}"
            self._settle(attempt, partial(attempt.recorder.release, reason, RELEASE_DELAY_S))

    def _send(self, message: Run | Cancel) -> None:
        try:
            self._runner.send(message)
        except RunnerGone as error:
            # Its end is in the inbox, or it has to come to an end now.
            logger.warning("a runner took no %s: %s", message.type, error)
            self._runner.kill()

    # What comes in

    def _take(self, item: Item | None) -> None:
        match item:
            case None | Hello():
                pass
            case Rang():
                self._lease.hurry()
            case Ready():
                self._runner.is_ready = True
            case Idle():
                self._is_idle = True
                if self._open:
                    self._refuse("The runner ended its run without an answer.")
            case Breach(act="suspend"):
                logger.warning("slot %d: %s Its runner is held still.", self._slot, item.reason)
            case Breach():
                self._breach = item
            case Ended():
                self._runner_ended()
            case _:
                for attempt in self._open:
                    if (attempt.trial, attempt.fence) == (item.trial, item.fence):
                        self._guarding(attempt, partial(self._hear, attempt, item))

    def _hear(self, attempt: Attempt, message: FromRunner) -> None:
        recorder = attempt.recorder
        match message:
            case Started():
                recorder.started(self._environment(attempt, message), message.total, message.unit)
            case Metrics():
                recorder.metrics(message)
            case Progress():
                recorder.progress = (message.done, message.total, message.unit)
            case Checkpoint():
                recorder.checkpoint(message)
                self._heed_refusals(attempt)
            case Artifact():
                recorder.artifact(message)
                self._heed_refusals(attempt)
            case Result():
                self._settle(attempt, partial(recorder.succeed, message))
                self._runner.note_served()
            case Failed():
                # Whatever made it fail may have left its mark on the process.
                self._runner.must_retire = "a trial failed in it"
                self._settle(attempt, partial(recorder.fail, message.reason_kind, message.reason))
            case Cancelled():
                if not attempt.cancel_sent:
                    raise Misbehaved("It stopped a trial that nobody wanted stopped.")
                self._settle(attempt, partial(recorder.cancel, "Cancelled while it ran."))

    def _environment(self, attempt: Attempt, message: Started) -> dict[str, object]:
        return {
            **message.environment,
            **self._host.versions,
            "host": self._host.name,
            "slot": self._slot,
            "resumed_epoch": attempt.resume.epoch if attempt.resume else None,
        }

    def _heed_refusals(self, attempt: Attempt) -> None:
        if attempt.recorder.refusals >= MOST_REFUSALS:
            self._spoil("its files cannot be stored")
            reason = f"Files of this trial could not be stored from {self._host.name}."
            self._settle(attempt, partial(attempt.recorder.release, reason, RELEASE_DELAY_S))

    def _refuse(self, reason: str) -> None:
        """The runner cannot be trusted: `Ended` follows, and settles what is open."""
        self._breach = self._breach or Breach("kill", "internal", reason)
        self._spoil(reason)

    def _spoil(self, why: str) -> None:
        """End the runner: it is not to serve again."""
        self._runner.must_retire = why
        self._runner.kill()

    # How it ends

    def _guarding(self, attempt: Attempt, work: Callable[[], None]) -> None:
        """Do something for one trial, which may not be ours any more, for a hostile runner."""
        try:
            work()
        except FencedOff as error:
            self._lose(attempt, error)
        except (Misbehaved, NotAsAnnounced) as error:
            self._refuse(str(error))

    def _settle(self, attempt: Attempt, record: Callable[[], None]) -> None:
        """Record the end of a trial."""
        try:
            record()
        except FencedOff as error:
            self._lose(attempt, error)
            return
        self._close(attempt)
        following = next(iter(self._open), None)
        if following is not None:
            self._runner.guards.begin(following.trial)

    def _lose(self, attempt: Attempt, error: FencedOff) -> None:
        """Somebody else owns the trial now: throw away what was done, and let the others go on."""
        logger.warning("slot %d is fenced off: %s", self._slot, error)
        self._close(attempt)
        if self._open:
            self._send(Cancel(trial=attempt.trial, fence=attempt.fence))
        else:
            self._spoil("its trial was taken over")

    def _close(self, attempt: Attempt) -> None:
        attempt.settled = True
        self._lease.forget(attempt.trial)
        self._runner.guards.remove(attempt.trial)

    def _runner_ended(self) -> None:
        """Settle everything open: the trial at fault, and those that were only beside it."""
        ending = self._runner.retire()
        breach = self._breach
        if breach is not None:
            ending = Ending(breach.reason_kind, breach.reason)
        at_fault = breach.trial if breach is not None else None
        if not self._runner.is_ready:
            self.runner_never_ready = True
        for attempt in self._open:
            if self.runner_never_ready:
                reason = f"No runner could be started on {self._host.name}: {ending.reason}"
                logger.error("%s\n%s", reason, self._runner.log_tail())
                record = partial(attempt.recorder.release, reason, RELEASE_DELAY_S)
            elif at_fault not in (None, attempt.trial):
                reason = "Its runner was ended by another trial."
                record = partial(attempt.recorder.release, reason)
            elif attempt.cancel_sent:
                record = partial(attempt.recorder.cancel, "Cancelled while it ran.")
            else:
                tail = attempt.log.tail() or self._runner.log_tail()
                record = partial(attempt.recorder.fail, ending.reason_kind, ending.reason, tail)
            # Without a name, the first that is open was the one at work.
            at_fault = attempt.trial if at_fault is None else at_fault
            self._settle(attempt, record)

    def _give_back(self) -> None:
        """The worker ends: hear what was said so far, and release the rest."""
        self._spoil("the worker ends")
        self._runner.retire()
        while (item := self._runner.receive(0)) is not None:
            if not isinstance(item, Ended | Breach | Idle):
                self._take(item)
        for attempt in self._open:
            self._settle(attempt, partial(attempt.recorder.release, "Its worker was shut down."))

    def _await_idle(self) -> None:
        """Let the runner close its run, so that the next one finds it at rest."""
        deadline_s = self._host.clock() + IDLE_GRACE_S
        while not self._is_idle and self._runner.must_retire is None:
            left_s = deadline_s - self._host.clock()
            item = self._runner.receive(left_s)
            if item is None or isinstance(item, Ended | Breach) or self._stopping():
                self._spoil("it did not come to rest")
            elif not isinstance(item, Rang):
                self._take(item)

    # What is done all along

    def _next_chore_in_s(self) -> float:
        waiting = any(attempt.recorder.has_metrics for attempt in self._open)
        flush_in_s = self._flush_due_s - self._host.clock() if waiting else FLUSH_S
        return min(self._lease.due_in_s, flush_in_s, FLUSH_S)

    def _chores(self) -> None:
        if self._stopping():
            self._give_back()
            return
        self._beat()
        if self._beaten:
            self._heed_beat()
        now = self._host.clock()
        if now >= self._flush_due_s:
            self._flush_due_s = now + FLUSH_S
            for attempt in self._open:
                attempt.log.trim()
                self._guarding(attempt, attempt.recorder.flush)

    def _beat(self) -> None:
        progress = {
            attempt.trial: attempt.recorder.progress
            for attempt in self._open
            if attempt.recorder.progress is not None
        }
        self._beaten = self._lease.beat_if_due(progress) or self._beaten

    def _heed_beat(self) -> None:
        """Act on what the last heartbeat has told."""
        self._beaten = False
        for attempt in self._open:
            if attempt.trial not in self._lease.alive:
                self._lose(attempt, FencedOff(f"trial {attempt.trial}, fence {attempt.fence}"))
            elif attempt.trial in self._lease.to_cancel and not attempt.cancel_sent:
                attempt.cancel_sent = True
                self._runner.guards.cancel(attempt.trial, CANCEL_GRACE_S)
                self._send(Cancel(trial=attempt.trial, fence=attempt.fence))
        if self._lease.was_suspended:
            self._lease.was_suspended = False
            self._go_on()
        for attempt in self._open:
            self._guarding(attempt, attempt.recorder.publish_growing_log)

    def _go_on(self) -> None:
        """The lease is ours again after the runner was held still for want of a heartbeat."""
        for attempt in self._open:
            attempt.log.note("held still while the database was away")
            if attempt.claimed.kind == "benchmark":
                # A timing that was interrupted is no timing.
                self._spoil("its timing was interrupted")
                reason = "Its timing was interrupted: the database was away."
                self._settle(attempt, partial(attempt.recorder.release, reason))
        if self._open:
            self._runner.resume()

    def _beside(self, work: Callable[[], T]) -> T:
        return aside(work, self._beat)
