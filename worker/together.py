"""Trials that one lease holds to be trained together: their limits, and how they come apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from labpool.fusing import APART, CRASHED, UNFIT
from worker.attempt import Attempt
from worker.exits import Ending
from worker.gains import Gains
from worker.guards import Guards
from worker.protocol import Apart, Result

Settle = Callable[[Attempt, Callable[[], None]], None]


class Together:
    """What a slot knows of its lease's trials as a group; of a single trial there is little."""

    def __init__(self, guards: Guards, gains: Gains | None) -> None:
        self.size = 1
        """How many were handed out as one group."""
        self._guards, self._gains = guards, gains

    @property
    def is_group(self) -> bool:
        """Whether the runner has, or had, several trials at work at once."""
        return self.size > 1

    def hand_out(self, attempts: Sequence[Attempt]) -> None:
        """The runner gets these now: hold them to their limits."""
        self.size = len(attempts)
        for attempt in attempts:
            claimed = attempt.claimed
            self._guards.add(
                claimed.trial_id, claimed.time_limit_s, claimed.stall_limit_s,
                claimed.seconds_used, members=self.size,
            )  # fmt: skip
        for attempt in attempts:
            self._guards.begin(attempt.trial)

    def cancel(self, attempts: Sequence[Attempt], grace_s: float) -> None:
        """Of these, which the runner works on, some are to stop.

        One of a group may take its time: the runner must not be killed while others go on in it.
        """
        if not self.is_group or all(one.cancel_sent for one in attempts):
            for attempt in attempts:
                if attempt.cancel_sent:
                    self._guards.cancel(attempt.trial, grace_s)

    def over_time(self, trial: int | None) -> dict[int, str]:
        """Whose limit of time is over with this trial's, and how to say so."""
        found = self._guards.over_time()
        return found if trial in found else {}

    def part(
        self, message: Apart, attempts: Sequence[Attempt], settle: Settle,
        as_asked: Callable[[Attempt], Callable[[], None]],
    ) -> None:  # fmt: skip
        """The runner cannot train them together: all but one go back, to run by themselves."""
        key = attempts[0].claimed.trace_key
        if message.for_good and self._gains is not None and key is not None:
            self._gains.cannot(key)
        reason = f"{UNFIT if message.for_good else APART}{message.reason}"
        for attempt in attempts:
            if attempt.trial == message.trial:
                continue
            release = partial(attempt.recorder.release, reason, alone=True)
            settle(attempt, as_asked(attempt) if attempt.cancel_sent else release)
        self.size = 1

    def crash(
        self, ending: Ending, attempts: Sequence[Attempt], settle: Settle,
        as_asked: Callable[[Attempt], Callable[[], None]],
    ) -> None:  # fmt: skip
        """The runner ended, and nobody can tell whose fault it was.

        Each is to run by itself, which will show it.
        """
        key = attempts[0].claimed.trace_key if attempts else None
        if ending.reason_kind != "killed" and self._gains is not None and key is not None:
            self._gains.crashed(key, self.size)
        reason = f"{CRASHED} {ending.reason}"
        for attempt in attempts:
            release = partial(attempt.recorder.release, reason, alone=True)
            settle(attempt, as_asked(attempt) if attempt.cancel_sent else release)

    def measured(self, attempt: Attempt, result: Result) -> None:
        """Note how fast a trial was trained, if that says anything of its siblings."""
        claimed, speed = attempt.claimed, result.metrics.get("images_per_second")
        began_at = attempt.resume.epoch if attempt.resume else 0
        # The first epoch of an attempt holds the time that tracing took.
        says_it = result.metrics.get("epochs_run", 0) - began_at >= 2
        key = claimed.trace_key
        if self._gains is None or not claimed.fusable or key is None or not says_it:
            return
        if speed is not None and speed > 0:
            self._gains.measured(key, self.size, speed)
