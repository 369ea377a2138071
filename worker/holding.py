"""What a slot holds by a lease: its trials, the runner that does them, and how each one ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from db.claims import Claim, ClaimedTrial
from db.errors import FencedOff
from db.own_sources import SourceWithheld
from db.states import Wish
from worker.aside import aside
from worker.attempt import Attempt, OriginGone, OtherCatalog, fetch_files, files_of, message_of
from worker.exits import Ending
from worker.files import NotAsAnnounced, StoreSilent
from worker.gains import Gains
from worker.guards import Breach
from worker.host import Host
from worker.keeping import LOG_FILE, Misbehaved
from worker.lease import LeaseKeeper
from worker.logs import TrialLog
from worker.patience import PatientStore
from worker.process import RunnerGone
from worker.protocol import Apart, Cancel, FromSlot, GoOn, Pause, Run, Stop
from worker.recording import Recorder
from worker.together import Together
from worker.upload_cache import UploadCache
from worker.watched import WatchedRunner
from worker.writing import Writer

logger = logging.getLogger(__name__)

CANCELLED = "Cancelled while it ran."
CANCEL_GRACE_S = 10.0
# SIGKILL takes milliseconds, with many gigabytes to give back seconds.
STUCK_S = 30.0
NOT_OF_A_TRIAL = ("not_ready", "out_of_memory")
# Limits that a trial passes by itself, even when it is trained together with others.
OF_ONE_TRIAL = ("cancelled", "time_limit")
# Ends that a broken GPU can bring about as well as the trial.
PERHAPS_OF_THE_GPU = ("crashed", "stall_limit", "time_limit")


class Holding:
    """The trials of one lease on one runner.

    A trial is *settled* once its end is recorded or it turned out to be somebody else's.
    """

    def __init__(
        self,
        host: Host,
        slot: int,
        claim: Claim,
        claimed_at_s: float,
        runner: WatchedRunner,
        give_up: Callable[[], bool],
        examine: Callable[[], str | None] = lambda: None,
        gains: Gains | None = None,
    ) -> None:
        """Makes a folder for each trial. ``examine`` tells what is wrong with the GPU, if anything.

        Raises OSError.
        """
        self.host = host
        self.slot = slot
        self.runner = runner
        self.together = Together(runner.guards, gains)
        self.breach: Breach | None = None
        self.runner_never_ready = False
        self.gpu_fault: str | None = None
        self.gpu_trouble: str | None = None
        self.beaten = False
        self._give_up = give_up
        self._examine = examine
        self._killed_at_s: float | None = None
        self.lease = LeaseKeeper(
            host.database,
            runner.guards,
            claim.lease_id,
            {claimed.trial_id: claimed.fence for claimed in claim.trials},
            claimed_at_s,
            host.settings.lease_ttl_s,
            host.settings.beat_s,
            host.lease_clock,
        )
        self.store = PatientStore(self.beat, self._is_in_a_hurry, give_up, host.clock)
        self.writer = Writer(host.database, host.store, self.store.do, give_up)
        self.attempts = [self._attempt(claimed) for claimed in claim.trials]

    @property
    def open(self) -> list[Attempt]:
        """The trials that are not settled."""
        return [attempt for attempt in self.attempts if not attempt.settled]

    def beat(self) -> None:
        """Send a heartbeat when it is time; `beaten` says that there is an answer to heed."""
        progress = {
            attempt.trial: attempt.recorder.progress
            for attempt in self.open
            if attempt.recorder.progress is not None
        }
        self.beaten = self.lease.beat_if_due(progress) or self.beaten

    def hand_out(self) -> None:
        """Give the runner its trials; those that cannot be prepared here are released."""
        for attempt in self.attempts:
            self.guarding(attempt, partial(self._prepare, attempt))
        messages = [attempt.message for attempt in self.open if attempt.message is not None]
        if not messages:
            return
        self.together.hand_out(self.open)
        self.runner.note_given()
        self.send(Run(trials=tuple(messages), together=self.together.is_group))
        for attempt in self.open:
            self.tell_wish(attempt, attempt.claimed.wish)

    def tell_wish(self, attempt: Attempt, wish: Wish | None) -> None:
        """Let the runner know what the trial's owner wants, unless it knows."""
        if wish == attempt.wish or attempt.cancel_sent:
            return
        if wish is Wish.PRUNE:
            attempt.pruning = True
            self.cancel(attempt)
            return
        message = {Wish.PAUSE: Pause, Wish.STOP: Stop, None: GoOn}[wish]
        self.send(message(trial=attempt.trial, fence=attempt.fence))
        attempt.wish = wish
        attempt.pause_sent = attempt.pause_sent or wish is Wish.PAUSE

    def cancel(self, attempt: Attempt) -> None:
        """Have the runner stop a trial; one of a group that it has not begun drops out at once."""
        attempt.cancel_sent = True
        self.send(Cancel(trial=attempt.trial, fence=attempt.fence))
        if attempt.began or attempt is self.open[0]:
            self.together.cancel(self.open, CANCEL_GRACE_S)
        else:
            self.settle(attempt, self.as_asked(attempt))

    def part(self, message: Apart) -> None:
        """The runner cannot train its trials together, and goes on with one."""
        if self.open:
            self.together.part(message, self.open, self.settle, self.as_asked)

    def as_asked(self, attempt: Attempt) -> Callable[[], None]:
        """How to record the end of a trial that was to stop: cancelled, or pruned."""
        recorder = attempt.recorder
        return recorder.prune if attempt.pruning else partial(recorder.cancel, CANCELLED)

    def ring_if_stirred(self) -> None:
        """Let slots know when what was stored made a sweep do something, perhaps with them."""
        for attempt in self.attempts:
            if attempt.recorder.stirred:
                attempt.recorder.stirred = False
                self.lease.hurry()
                self.host.ring()

    def send(self, message: FromSlot) -> None:
        """Tell the runner something."""
        try:
            self.runner.send(message)
        except RunnerGone as error:
            # Its end is in the inbox, or it has to come to an end now.
            logger.warning("a runner took no %s: %s", message.type, error)
            self.runner.kill()

    def guarding(self, attempt: Attempt, work: Callable[[], None]) -> None:
        """Do something for one trial, which may not be ours any more, for a hostile runner."""
        try:
            work()
        except FencedOff as error:
            self.lose(attempt, error)
        except (Misbehaved, NotAsAnnounced) as error:
            self.refuse(str(error))

    def refuse(self, reason: str) -> None:
        """The runner cannot be trusted: `Ended` follows, and settles what is open."""
        self.note_breach(self.breach or Breach("kill", "internal", reason))
        self.spoil(reason)

    def note_breach(self, breach: Breach) -> None:
        """The runner was killed for this reason."""
        self.breach = breach
        self._killed_at_s = self._killed_at_s or self.host.clock()

    def spoil(self, why: str) -> None:
        """End the runner: it is not to serve again."""
        self.runner.must_retire = why
        self._killed_at_s = self._killed_at_s or self.host.clock()
        self.runner.kill()

    @property
    def runner_is_stuck(self) -> bool:
        """Whether it was killed and yet goes on: its driver or a file server hangs."""
        return self._killed_at_s is not None and self.host.clock() - self._killed_at_s >= STUCK_S

    def settle(self, attempt: Attempt, record: Callable[[], None]) -> None:
        """Record the end of a trial."""
        try:
            record()
        except FencedOff as error:
            self.lose(attempt, error)
        else:
            self.concluded(attempt)

    def concluded(self, attempt: Attempt) -> None:
        """The end of a trial is recorded."""
        self._close(attempt)
        if attempt.claimed.searched:
            # Its sweep may have queued others, and this slot takes one of them at most.
            self.host.ring()

    def release(self, attempt: Attempt, reason: str, reason_kind: str | None = None) -> None:
        """Give a trial back that was not at fault; ``reason_kind`` is one of `retries.UNABLE`."""
        self.settle(attempt, partial(attempt.recorder.release, reason, reason_kind))

    def lose(self, attempt: Attempt, error: FencedOff) -> None:
        """Somebody else owns the trial now: throw away what was done, and let the others go on."""
        logger.warning("slot %d is fenced off: %s", self.slot, error)
        self._close(attempt)
        if self.open:
            self.send(Cancel(trial=attempt.trial, fence=attempt.fence))
        else:
            self.spoil("its trial was taken over")

    def settle_all_after_the_runners_end(self) -> None:
        """Blame the trial at fault, and give back those that were only beside it.

        The end may be one that not even SIGKILL brings about.
        """
        ending, breach = self.runner.retire(), self.breach
        if breach is not None:
            ending = Ending(breach.reason_kind, breach.reason)
        self.runner.must_retire = ending.reason
        self.gpu_trouble = self._trouble_with_the_gpu(ending)
        if self.gpu_trouble is not None:
            self.gpu_fault = ending.reason
            ending = Ending("gpu_fault", f"{ending.reason} Its GPU fails now: {self.gpu_trouble}")
        # Before it was ready it had not touched a trial, unless it broke a rule of one.
        if not self.runner.is_ready and (breach is None or breach.reason_kind in NOT_OF_A_TRIAL):
            self.runner_never_ready = True
            self._release_all_unstarted(ending)
            return
        named = breach.trial if breach is not None else None
        of_one = breach is not None and breach.reason_kind in OF_ONE_TRIAL
        if self.together.is_group and not of_one and self.gpu_trouble is None:
            self.together.crash(ending, self.open, self.settle, self.as_asked)
            return
        # Without a name, the first that is open was the one at work.
        at_fault = next((one for one in self.open if named in (None, one.trial)), None)
        late = self.together.over_time(named)
        for attempt in self.open:
            if attempt.cancel_sent:
                self.settle(attempt, self.as_asked(attempt))
            elif attempt is not at_fault and attempt.trial not in late:
                self.release(attempt, "Its runner was ended by another trial.")
            else:
                tail = attempt.log.tail() or self.runner.log_tail()
                reason = late.get(attempt.trial, ending.reason)
                fail = attempt.recorder.fail
                self.settle(attempt, partial(fail, ending.reason_kind, reason, tail))

    def _trouble_with_the_gpu(self, ending: Ending) -> str | None:
        """What is wrong with the GPU, when the runner's end may have been its fault."""
        runner = self.runner
        perhaps = runner.is_ready and ending.reason_kind in PERHAPS_OF_THE_GPU
        if not perhaps and not runner.is_stuck:
            return None
        try:
            return aside(self._examine, self.beat)
        except OSError as error:
            logger.warning("slot %d: its GPU could not be tried: %s", self.slot, error)
            return None

    def _release_all_unstarted(self, ending: Ending) -> None:
        reason = f"No runner could be started on {self.host.name}: {ending.reason}"
        logger.error("%s\n%s", reason, self.runner.log_tail())
        for attempt in self.open:
            self.release(attempt, reason, "no_runner")

    def _close(self, attempt: Attempt) -> None:
        attempt.settled = True
        self.lease.forget(attempt.trial)
        self.runner.guards.remove(attempt.trial)
        if self.open and all(one.cancel_sent for one in self.open):
            self.together.cancel(self.open, CANCEL_GRACE_S)

    def _attempt(self, claimed: ClaimedTrial) -> Attempt:
        folder = self.host.scratch.trial_folder(self.slot, claimed.trial_id, claimed.fence)
        files_of(folder).mkdir()
        log = TrialLog(folder / LOG_FILE, self.host.settings.log_limit_bytes)
        recorder = Recorder(
            self.host.database,
            self.host.store,
            claimed,
            files_of(folder),
            log,
            self._give_up,
            self.store.do,
            self.host.clock,
            self.writer,
        )
        return Attempt(claimed, folder, log, recorder)

    def _prepare(self, attempt: Attempt) -> None:
        """Bring together what the runner needs, or give the trial back."""
        host = self.host
        cache = UploadCache.of(host.settings)
        fetch = partial(fetch_files, attempt, host.database, host.store, cache, self._give_up)
        try:
            self.store.do(fetch)
            attempt.message = message_of(attempt, host.catalog)
        except (OSError, OtherCatalog, StoreSilent) as error:
            reason = f"It could not be prepared on {host.name}: {error}"
            self.release(attempt, reason, "not_prepared")
        except (OriginGone, SourceWithheld) as error:
            kind = "internal" if isinstance(error, OriginGone) else "user_error"
            self.settle(attempt, partial(attempt.recorder.fail, kind, str(error), ""))

    def _is_in_a_hurry(self) -> bool:
        """Whether nobody needs what is stored: the runner ended, or its trials are to."""
        going_on = self.lease.alive - self.lease.to_cancel
        return not self.runner.is_alive or not any(one.trial in going_on for one in self.open)
