"""Why a runner ended, in words and as a kind of reason."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from worker.out_of_memory import KillCounters

# sysexits.h: it may go better another time. How a probe ends that found no memory to work with.
NO_MEMORY = 75


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a trial did not get an answer from its runner."""

    reason_kind: str
    reason: str


def ending_of(status: int, before: KillCounters, after: KillCounters) -> Ending:
    """The end of a runner that nobody of labpool asked to end.

    ``status`` is as subprocess gives it: negative for a signal. The counters were read when the
    runner started, or was given its last trials, and after it ended.
    """
    if status != -signal.SIGKILL:
        return Ending("crashed", f"The runner {describe_status(status)}.")
    kills = after.moved_since(before)
    if kills is not None:
        return Ending(
            "out_of_memory",
            f"The runner was killed by SIGKILL, most likely for want of memory: {kills}.",
        )
    doubt = (
        "its counters did not move"
        if before.known and after.known
        else "this system does not count its kills"
    )
    return Ending(
        "killed",
        "The runner was killed by SIGKILL from outside labpool; the kernel's out-of-memory killer"
        f" does that too, but {doubt}.",
    )


def describe_status(status: int) -> str:
    """``killed by SIGSEGV (segmentation fault)`` or ``exited with status 3``."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        return f"was killed by signal {-status}"
    meaning = signal.strsignal(-status)
    return f"was killed by {name}" + (f" ({meaning.lower()})" if meaning else "")
