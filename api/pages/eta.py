"""How much longer it takes, at the present pace. None wherever there is no pace to go by."""

from __future__ import annotations

from collections.abc import Sequence

from db.reads.trials import TrialRow
from db.states import TrialState


def share_done(trial: TrialRow) -> float:
    """How much of a trial is done, from 0 to 1."""
    if trial.finished:
        return 1.0
    # What is paused goes on from there; what waits may have lost some of it.
    if trial.state not in (TrialState.RUNNING, TrialState.PAUSED) or not trial.progress_total:
        return 0.0
    return min(max(trial.progress_done / trial.progress_total, 0.0), 1.0)


def remaining_s(trial: TrialRow) -> float | None:
    """Seconds that a running trial still takes if it goes on as it went so far.

    None of one that was asked to end or pause with its epoch: it does not go on so.
    """
    done = share_done(trial)
    if trial.pending:
        return None
    if trial.state != TrialState.RUNNING or not done or not trial.seconds:
        return None
    return trial.seconds * (1 - done) / done


def experiment_remaining_s(trials: Sequence[TrialRow]) -> float | None:
    """Seconds until all are done, if as many run side by side as run now.

    A trial takes as long as those took that succeeded, or as long as the running ones promise to.
    """
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    if not running:
        return None
    took = [trial.seconds for trial in trials if trial.state == TrialState.SUCCEEDED]
    known = [seconds for seconds in took if seconds]
    known = known or [seconds for trial in running if (seconds := _promised_s(trial))]
    if not known:
        return None
    each_s = sum(known) / len(known)
    left_s = sum(_left_s(trial, each_s) for trial in trials if not trial.finished)
    longest_s = max(_left_s(trial, each_s) for trial in running)
    return max(left_s / len(running), longest_s)


def _promised_s(trial: TrialRow) -> float | None:
    done = share_done(trial)
    return trial.seconds / done if trial.seconds and done else None


def _left_s(trial: TrialRow, each_s: float) -> float:
    own = remaining_s(trial)
    return own if own is not None else each_s * (1 - share_done(trial))
