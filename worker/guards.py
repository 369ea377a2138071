"""The limits on what a runner does, held on a monotonic clock.

Pure: nothing here reads a socket, a process or a wall clock, and nothing waits. The watching thread
asks `check` and carries out what it says; the slot's thread moves deadlines. All times are seconds
of the injected clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

MEBIBYTE = 1024 * 1024
# Building the graph and the first batch can take minutes on a GPU that compiles for the first time.
FIRST_PROGRESS_S = 600.0
# A cold disk and a large TensorFlow: seconds as a rule, a minute or two at worst.
READY_LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit was passed. ``trial`` is None when it concerns the runner as a whole.

    ``suspend`` holds the runner still, since a lease that was not renewed may yet be; ``kill`` ends
    it.
    """

    act: Literal["kill", "suspend"]
    reason_kind: str
    reason: str
    trial: int | None = None


@dataclass(slots=True)
class _TrialLimits:
    time_limit_s: float
    time_left_s: float
    stall_limit_s: float
    first_progress_s: float
    began_s: float | None = None
    last_sign_s: float = 0.0
    progressed: bool = False
    cancel_by_s: float | None = None
    cancel_grace_s: float = 0.0


@dataclass(slots=True)
class Guards:
    """The limits of one runner. Every method may be called from any thread.

    The lease is held by ``lease_clock`` when it is given: one that goes on while the machine
    sleeps, which no trial's own time does.
    """

    clock: Callable[[], float]
    memory_limit_mb: int | None = None
    ready_limit_s: float = READY_LIMIT_S
    lease_clock: Callable[[], float] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _trials: dict[int, _TrialLimits] = field(default_factory=dict)
    _spawned_s: float = 0.0
    _ready: bool = False
    _lease_deadline_s: float | None = None
    _suspended_s: float | None = None

    def __post_init__(self) -> None:
        self._spawned_s = self.clock()

    def ready(self) -> None:
        """The runner's imports are done."""
        with self._lock:
            self._ready = True
            now = self.clock()
            for limits in self._trials.values():
                if limits.began_s is not None:
                    limits.began_s = limits.last_sign_s = now

    def add(
        self,
        trial: int,
        time_limit_s: float,
        stall_limit_s: float,
        seconds_used: float = 0.0,
        first_progress_s: float = FIRST_PROGRESS_S,
        members: int = 1,
    ) -> None:
        """Hold a trial to its limits from its `begin` on; earlier attempts have used some time.

        One of so many ``members`` of a group uses no more than its share of each second.
        """
        with self._lock:
            self._trials[trial] = _TrialLimits(
                time_limit_s=time_limit_s,
                time_left_s=(time_limit_s - seconds_used) * members,
                stall_limit_s=stall_limit_s,
                first_progress_s=max(stall_limit_s, first_progress_s),
            )

    def begin(self, trial: int) -> None:
        """The trial is at work now; a second call changes nothing."""
        with self._lock:
            limits = self._trials.get(trial)
            if limits is not None and limits.began_s is None:
                limits.began_s = limits.last_sign_s = self.clock()

    def progressed(self, trial: int, first_batch_done: bool = True) -> None:
        """A sign of life of the trial. Only a finished batch ends the grace of the first one."""
        with self._lock:
            limits = self._trials.get(trial)
            if limits is not None:
                limits.last_sign_s = self.clock()
                limits.progressed = limits.progressed or first_batch_done

    def excuse(self) -> None:
        """Nothing was read from the runner for a reason of our own: no trial stalls meanwhile."""
        with self._lock:
            now = self.clock()
            for limits in self._trials.values():
                limits.last_sign_s = now

    def cancel(self, trial: int, grace_s: float) -> None:
        """The trial was asked to stop and has ``grace_s`` to do so; the first call counts."""
        with self._lock:
            limits = self._trials.get(trial)
            if limits is not None and limits.cancel_by_s is None:
                limits.cancel_by_s = self.clock() + grace_s
                limits.cancel_grace_s = grace_s

    def remove(self, trial: int) -> None:
        """The trial is answered."""
        with self._lock:
            self._trials.pop(trial, None)

    def renew_lease(self, deadline_s: float) -> bool:
        """A lease covers work until ``deadline_s`` of its clock. True when work was suspended."""
        with self._lock:
            now = self.clock()
            self._lease_deadline_s = deadline_s
            if self._suspended_s is None:
                return False
            pause_s = now - self._suspended_s
            self._suspended_s = None
            for limits in self._trials.values():
                limits.last_sign_s += pause_s
                if limits.began_s is not None:
                    limits.began_s += pause_s
                if limits.cancel_by_s is not None:
                    limits.cancel_by_s += pause_s
            return True

    def end_lease(self) -> bool:
        """No work is under way: nothing to lose. True when the runner was held still, and is."""
        with self._lock:
            self._lease_deadline_s = None
            self._trials.clear()
            was_suspended, self._suspended_s = self._suspended_s is not None, None
            return was_suspended

    def over_time(self) -> dict[int, str]:
        """Trials that have used up their time, and how to say so."""
        with self._lock:
            now = self.clock()
            found = (
                _over_time(trial, limits, now, limits.began_s)
                for trial, limits in self._trials.items()
                if limits.began_s is not None
            )
            return {
                breach.trial: breach.reason
                for breach in found
                if breach is not None and breach.trial and breach.reason_kind == "time_limit"
            }

    @property
    def is_ready(self) -> bool:
        """Whether its imports are done."""
        with self._lock:
            return self._ready

    @property
    def is_suspended(self) -> bool:
        """Whether the runner is to be held still."""
        with self._lock:
            return self._suspended_s is not None

    def check(self, resident_bytes: int) -> Breach | None:
        """The first limit that is passed now, if any. A suspended runner passes none but memory."""
        with self._lock:
            now = self.clock()
            breach = self._memory(resident_bytes)
            if breach is None and self._suspended_s is None:
                breach = self._startup(now) or self._lease() or self._each_trial(now)
            if breach is not None and breach.act == "suspend":
                self._suspended_s = now
            return breach

    def _memory(self, resident_bytes: int) -> Breach | None:
        if self.memory_limit_mb is None or resident_bytes <= self.memory_limit_mb * MEBIBYTE:
            return None
        return Breach(
            "kill",
            "out_of_memory",
            f"The runner's processes held {resident_bytes / MEBIBYTE:,.0f} MiB of memory; the limit"
            f" here is {self.memory_limit_mb:,} MiB.",
        )

    def _startup(self, now: float) -> Breach | None:
        if self._ready or now - self._spawned_s <= self.ready_limit_s:
            return None
        return Breach(
            "kill", "not_ready", f"The runner was not ready within {self.ready_limit_s:g} s."
        )

    def _lease(self) -> Breach | None:
        now = (self.lease_clock or self.clock)()
        if self._lease_deadline_s is None or now < self._lease_deadline_s:
            return None
        return Breach("suspend", "lease", "The lease was not renewed in time.")

    def _each_trial(self, now: float) -> Breach | None:
        for trial, limits in self._trials.items():
            if limits.cancel_by_s is not None and now >= limits.cancel_by_s:
                return Breach(
                    "kill",
                    "cancelled",
                    f"The trial did not stop within {limits.cancel_grace_s:g} s of being asked to.",
                    trial,
                )
            # A trial's time begins when its runner is ready for it.
            if self._ready and limits.began_s is not None:
                breach = _over_time(trial, limits, now, limits.began_s)
                if breach is not None:
                    return breach
        return None


def _over_time(trial: int, limits: _TrialLimits, now: float, began_s: float) -> Breach | None:
    if now - began_s >= limits.time_left_s:
        return Breach(
            "kill",
            "time_limit",
            f"The trial ran past its time limit of {limits.time_limit_s:g} s.",
            trial,
        )
    silent_s = now - limits.last_sign_s
    allowed_s = limits.stall_limit_s if limits.progressed else limits.first_progress_s
    if silent_s >= allowed_s:
        what = "no progress" if limits.progressed else "no first batch"
        return Breach(
            "kill",
            "stall_limit",
            f"The trial made {what} for {allowed_s:g} s.",
            trial,
        )
    return None
