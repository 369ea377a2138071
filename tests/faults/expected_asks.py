"""What must follow when somebody asks something of a trial."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.expected_rows import ENDED, Refused, Trial


def ask(trial: Trial, command: str) -> None:
    """Cancel, pause, resume or stop; raises Refused."""
    if trial.state in ENDED:
        raise Refused("it has ended")
    _COMMANDS[command](trial)


def _cancel(trial: Trial) -> None:
    trial.cancel = True
    if trial.state != "running":
        trial.state, trial.wish = "cancelled", None


def _pause(trial: Trial) -> None:
    if trial.state == "queued":
        trial.held, trial.wish = True, None
    elif trial.state == "running":
        _wish(trial, "pause")


def _resume(trial: Trial) -> None:
    if trial.state == "paused":
        trial.state, trial.not_before = "queued", 0.0
    elif trial.cancel:
        raise Refused("it is being cancelled")
    else:
        trial.held, trial.wish = False, None


def _stop(trial: Trial) -> None:
    if trial.state == "paused":
        trial.state, trial.wish = "queued", "stop"
    elif trial.state == "running":
        _wish(trial, "stop")
    elif trial.wish != "stop" and trial.resume is None:
        raise Refused("it waits and has nothing to keep")
    else:
        trial.held, trial.wish = False, "stop"


def _wish(trial: Trial, wish: str) -> None:
    if trial.cancel or trial.benchmark:
        raise Refused("it is being cancelled, or is a benchmark")
    trial.wish = wish


_COMMANDS: dict[str, Callable[[Trial], None]] = {
    "cancel": _cancel,
    "pause": _pause,
    "resume": _resume,
    "stop": _stop,
}
