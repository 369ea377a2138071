"""One lease carried out: its trials handed to a runner, and all that comes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from db.errors import FencedOff
from db.retries import UNABLE
from worker.attempt import Attempt
from worker.database_access import DatabaseAway
from worker.gathering import Gathering
from worker.guards import Breach
from worker.holding import Holding
from worker.keeping import Misbehaved
from worker.protocol import (
    Apart,
    Artifact,
    Cancel,
    Cancelled,
    Checkpoint,
    Failed,
    FromRunner,
    Hello,
    Idle,
    Kept,
    Paused,
    Points,
    Predicted,
    Progress,
    Ready,
    Result,
    Started,
    Unpredicted,
)
from worker.watch import Ended, Item, Rang

logger = logging.getLogger(__name__)

FLUSH_S = 1.0
IDLE_GRACE_S = 10.0
# One file that could not be stored is passed over; at the second the disk is full to stay.
MOST_REFUSALS = 2
Answer = Result | Failed | Cancelled | Paused


class Allocation:
    """What a slot holds, from the claim to the last answer. All of it in the slot's thread."""

    def __init__(self, holding: Holding, stopping: Callable[[], bool]) -> None:
        """``stopping``: the worker ends; give everything back."""
        self._holding = holding
        self._runner = holding.runner
        self._clock = holding.host.clock
        self._stopping = stopping
        self._gathering = Gathering(holding, self._heed_stored)
        self._flush_due_s = 0.0
        self._is_idle = False

    def carry_out(self) -> None:
        """Do it all. The runner may be dead or not fit for another run afterwards.

        Raises DatabaseAway when the database stayed away until waiting was given up: the lease
        runs out then.
        """
        holding = self._holding
        try:
            holding.hand_out()
            while holding.open:
                self._gathering.take(self._runner.receive(self._next_chore_in_s()), self._take)
                self._chores()
            if holding.lease.end():
                # Its last answer was recorded while it was held: no heartbeat will let it go on.
                holding.spoil("it was held still when its lease ended")
            self._await_idle()
        except DatabaseAway:
            holding.spoil("the database stayed away")
            raise
        except Exception:
            logger.exception("an error in labpool itself; what this slot holds fails")
            holding.spoil("its slot met an error of its own")
            reason = "labpool itself went wrong here; the worker's log says how."
            for attempt in holding.open:
                holding.settle(attempt, partial(attempt.recorder.fail, "internal", reason))
        finally:
            holding.lease.end()

    def ring(self) -> None:
        """The bell rang: there may be a request to cancel. From any thread."""
        self._runner.ring()

    # What comes in

    def _take(self, item: Item | None) -> None:
        holding = self._holding
        match item:
            case None | Hello() | Ready() | Predicted() | Unpredicted():
                pass
            case Apart():
                holding.part(item)
            case Rang():
                holding.lease.hurry()
            case Idle():
                self._is_idle = True
                if holding.open:
                    holding.refuse("The runner ended its run without an answer.")
            case Breach(act="suspend"):
                why = f"{item.reason} {self._why_late()}"
                logger.warning("slot %d: %s Its runner is held still.", holding.slot, why)
            case Breach():
                holding.note_breach(item)
            case Ended():
                holding.settle_all_after_the_runners_end()
            case _:
                for attempt in holding.open:
                    mine = (attempt.trial, attempt.fence) == (item.trial, item.fence)
                    if mine and not attempt.answered:
                        holding.guarding(attempt, partial(self._hear, attempt, item))

    def _hear(self, attempt: Attempt, message: FromRunner) -> None:
        recorder = attempt.recorder
        match message:
            case Started():
                attempt.began = True
                self._runner.guards.begin(attempt.trial)
                recorder.started(self._environment(attempt, message), message.total, message.unit)
            case Points():
                recorder.points(message)
            case Progress():
                recorder.progress = (message.done, message.total, message.unit)
            case Checkpoint():
                kept = Kept(trial=attempt.trial, fence=attempt.fence, epoch=message.epoch)
                recorder.checkpoint(message, partial(self._holding.send, kept))
            case Artifact():
                recorder.artifact(message)
            case Result() | Failed() | Cancelled() | Paused():
                self._answer(attempt, message)

    def _answer(self, attempt: Attempt, message: Answer) -> None:
        recorder = attempt.recorder
        match message:
            case Result():
                attempt.answered = True
                concluded = partial(self._concluded, attempt, message)
                recorder.succeed(message, concluded, lambda: not self._is_refused(attempt))
            case Failed():
                self._fail(attempt, message)
                self._note_served(attempt, message)
            case Cancelled():
                if not attempt.cancel_sent:
                    raise Misbehaved("It stopped a trial that nobody wanted stopped.")
                self._holding.settle(attempt, self._holding.as_asked(attempt))
                self._note_served(attempt, message)
            case Paused(epoch=epoch):
                if not attempt.may_pause_after(epoch):
                    raise Misbehaved("It paused a trial that nobody wanted paused.")
                attempt.answered = True
                resumed = attempt.resume.epoch if attempt.resume else 0
                concluded = partial(self._concluded, attempt, message)
                recorder.pause(epoch, concluded, lambda: epoch == (recorder.kept_epoch or resumed))

    def _concluded(self, attempt: Attempt, message: Result | Paused) -> None:
        self._holding.concluded(attempt)
        if isinstance(message, Result):
            self._holding.together.measured(attempt, message)
        self._note_served(attempt, message)

    def _note_served(self, attempt: Attempt, message: Answer) -> None:
        # However it ended: what a trial leaves in a runner that goes on must count.
        # What is traced for a group serves groups of that size alone.
        is_group = self._holding.together.is_group
        self._runner.note_served(None if is_group else _traced_for(attempt, message))

    def _fail(self, attempt: Attempt, message: Failed) -> None:
        if message.reason_kind != "diverged":
            # Whatever made it fail may have left its mark on the process.
            self._runner.must_retire = "a trial failed in it"
        if message.reason_kind == "gpu_fault":
            self._holding.gpu_fault = message.reason
        if message.reason_kind in UNABLE:
            self._holding.release(attempt, message.reason, message.reason_kind)
        else:
            fail = attempt.recorder.fail
            self._holding.settle(attempt, partial(fail, message.reason_kind, message.reason))

    def _environment(self, attempt: Attempt, message: Started) -> dict[str, object]:
        return {
            **message.environment,
            **self._holding.host.versions,
            "host": self._holding.host.name,
            "slot": self._holding.slot,
            "resumed_epoch": attempt.resume.epoch if attempt.resume else None,
        }

    def _heed_stored(self) -> None:
        """Some of what the trials brought was stored, some may have been refused."""
        for attempt in self._holding.open:
            recorder = attempt.recorder
            if self._is_refused(attempt) or (attempt.answered and recorder.refusals):
                # What is paused could stay so for weeks, and its epoch would be lost.
                self._give_up_storing(attempt)
            elif attempt.answered and self._runner.must_retire is None:
                self._holding.refuse("It paused a trial without a checkpoint to go on from.")

    def _is_refused(self, attempt: Attempt) -> bool:
        most = 1 if self._holding.store.is_silent else MOST_REFUSALS
        return attempt.recorder.refusals >= most

    def _give_up_storing(self, attempt: Attempt) -> None:
        """Give a trial back whose files the store does not take."""
        holding, silent = self._holding, self._holding.store.is_silent
        if holding.together.is_group and not silent:
            # Others of the group may have had theirs stored.
            holding.send(Cancel(trial=attempt.trial, fence=attempt.fence))
        elif attempt.recorder.refusals >= MOST_REFUSALS or silent:
            holding.spoil("its files cannot be stored")
        why = ": the artifact store does not answer" if silent else ""
        reason = f"Its files could not be stored from {holding.host.name}{why}."
        holding.release(attempt, reason, "disk_full")

    def _give_back(self) -> None:
        """The worker ends: hear what was said so far, and release the rest."""
        self._holding.spoil("the worker ends")
        self._runner.retire()
        while (item := self._runner.receive(0)) is not None:
            self._gathering.take(item, self._take_last)
        for attempt in self._holding.open:
            self._holding.release(attempt, "Its worker was shut down.")

    def _take_last(self, item: Item | None) -> None:
        if not isinstance(item, Ended | Breach | Idle):
            self._take(item)

    def _await_idle(self) -> None:
        """Let the runner close its run, so that the next one finds it at rest."""
        deadline_s = self._clock() + IDLE_GRACE_S
        while not self._is_idle and self._runner.must_retire is None:
            item = self._runner.receive(deadline_s - self._clock())
            if item is None or isinstance(item, Ended | Breach) or self._stopping():
                self._holding.spoil("it did not come to rest")
            elif not isinstance(item, Rang):
                self._take(item)

    # What is done all along

    def _next_chore_in_s(self) -> float:
        waiting = any(attempt.recorder.has_news for attempt in self._holding.open)
        flush_in_s = self._flush_due_s - self._clock() if waiting else FLUSH_S
        return min(self._holding.lease.due_in_s, flush_in_s, FLUSH_S)

    def _chores(self) -> None:
        if self._stopping():
            self._give_back()
            return
        if self._holding.runner_is_stuck:
            self._holding.settle_all_after_the_runners_end()
            return
        self._holding.beat()
        if self._holding.beaten:
            self._heed_beat()
        now = self._clock()
        if now >= self._flush_due_s:
            self._flush_due_s = now + FLUSH_S
            with self._gathering.open():
                for attempt in self._holding.open:
                    with suppress(OSError):  # a full disk is no fault of the trial's
                        attempt.log.trim()
                    attempt.recorder.flush()
        self._holding.ring_if_stirred()

    def _heed_beat(self) -> None:
        """Act on what the last heartbeat has told."""
        holding, lease = self._holding, self._holding.lease
        holding.beaten = False
        for attempt in holding.open:
            if attempt.trial not in lease.alive:
                holding.lose(attempt, FencedOff(f"trial {attempt.trial}, fence {attempt.fence}"))
            elif attempt.trial in lease.to_cancel:
                if not attempt.cancel_sent:
                    holding.cancel(attempt)
            else:
                holding.tell_wish(attempt, lease.wishes.get(attempt.trial))
        if lease.was_suspended:
            lease.was_suspended = False
            self._go_on()
        with self._gathering.open():
            for attempt in holding.open:
                attempt.recorder.publish_growing_log()
        if holding.store.is_silent:
            for attempt in holding.open:
                self._give_up_storing(attempt)

    def _go_on(self) -> None:
        """The lease is ours again after the runner was held still for want of a heartbeat."""
        holding = self._holding
        for attempt in holding.open:
            attempt.log.note(f"held still for a while. {self._why_late()}")
            if attempt.claimed.kind == "benchmark":
                # A timing that was interrupted is no timing.
                holding.spoil("its timing was interrupted")
                reason = f"Its timing was interrupted. {self._why_late()}"
                holding.release(attempt, reason)
        if holding.open:
            self._runner.resume()

    def _why_late(self) -> str:
        """Why no heartbeat came in time."""
        host = self._holding.host
        # A beat that fails comes before the lease's end, and is tried again every second.
        if host.database.failed_within(host.settings.lease_ttl_s):
            return "The database was away."
        return "This worker, or its machine, had stood still."


def _traced_for(attempt: Attempt, message: Answer) -> str | None:
    """What the runner has traced for a trial with this answer, as far as one can tell."""
    if isinstance(message, Result | Paused):
        return attempt.claimed.trace_key
    # One that ended before its first step, which traces, has told no more than where it began.
    began_at = attempt.resume.epoch if attempt.resume else 0
    progress = attempt.recorder.progress
    stepped = progress is not None and progress[0] > began_at
    return attempt.claimed.trace_key if stepped else None
