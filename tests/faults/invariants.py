"""What must hold in every state and at every step of a trial's life; numbered as the checker's."""

from __future__ import annotations

from collections.abc import Iterator

from db.replay import Standing, after
from tests.faults.life import (
    CANCELLED,
    ENDED,
    GROUP,
    LOST,
    MAX_LOSSES,
    PAUSED,
    PRUNED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Event,
    State,
    Trial,
    Worker,
)
from tests.faults.moves import Move


def broken(before: State, move: Move) -> str | None:
    """The first invariant that a step breaks, in words; None when it is a right one."""
    checks = (_steps(before, move), _log(before, move))
    return next((found for check in checks for found in check), None)


def wrong(state: State) -> str | None:
    """The first invariant that a state breaks, in words; None when it is a right one."""
    return next(_whole(state), None)


def _whole(state: State) -> Iterator[str]:
    """What holds in every state."""
    live = {lease.id for lease in state.leases}
    if len({lease.slot for lease in state.leases}) != len(state.leases):
        yield "I4 a slot has two live leases"
    if state.experiments > 1:
        yield "I10 one key made two experiments"
    held = {trial.lease for trial in state.trials if trial.lease}
    if live - held:
        yield "I3 a live lease holds nothing"
    for trial in state.trials:
        yield from _row(trial, live)
    for lease in live:
        members = [number for number, trial in enumerate(state.trials) if trial.lease == lease]
        if len(members) > 1 and not set(members) <= GROUP:
            yield "strangers are trained together"
        if len(members) > 1 and any(state.trials[number].alone for number in members):
            yield "one that is to run alone is trained with others"
    at_work: set[int] = set()
    for worker in state.workers:
        if worker.orphan and worker.members:
            yield "I17 a trial started on a GPU whose lock is held"
        if worker.up and not worker.still and worker.link in ("ok", "cut"):
            mine = {member.trial for member in worker.members}
            if mine & at_work:
                yield "two workers that watch their clocks run one trial"
            at_work |= mine


def _row(trial: Trial, live: set[int]) -> Iterator[str]:
    if (trial.state == RUNNING) != (trial.lease in live):
        yield "I3 running means to refer to a live lease"
    if (trial.state == SUCCEEDED) != bool(trial.result):
        yield "I6 one result for what succeeded, none for others"
    if trial.losses > MAX_LOSSES or (trial.losses == MAX_LOSSES) != (trial.state == LOST):
        yield "I9 more losses than the limit"
    if trial.cancel and trial.state in (QUEUED, PAUSED):
        yield "I12 what is to be cancelled waits to run"
    if trial.held and trial.state not in (QUEUED, CANCELLED) and not trial.at_rung:
        yield "what is held runs, or was ended by a search"
    if trial.at_rung and trial.state != PAUSED:
        yield "what is at its rung is not paused"
    if trial.at_rung and trial.held != (trial.asked == "pause"):
        yield "at its rung it is held if and only if it was asked to pause"
    if trial.wish and trial.state not in (RUNNING, QUEUED):
        yield "a wish that nobody will hear"
    if trial.state == QUEUED and (trial.asked == "pause") != trial.held:
        yield "what waits is held if and only if it was asked to pause"
    if trial.state == PAUSED and trial.asked != "pause" and not trial.at_rung:
        yield "it is paused and was asked to go on"


def _steps(before: State, move: Move) -> Iterator[str]:
    """What holds between a state and the next."""
    state = move.state
    if len(before.trials) == len(state.trials):
        for old, new in zip(before.trials, state.trials, strict=True):
            if old is not new:
                yield from _change(old, new, move.name)
    elif before.trials:
        yield "I11, I13 trials came or went"
    for old_worker, worker in zip(before.workers, state.workers, strict=True):
        if old_worker is not worker:
            yield from _slot(old_worker, worker, state, move.name)
    if "sweep" in move.name:
        past = {lease.id for lease in before.leases if lease.past}
        for old, new in zip(before.trials, state.trials, strict=True):
            if old.state == RUNNING != new.state and old.lease not in past:
                yield "a healthy trial was taken back"
            companions = [trial for trial in before.trials if trial.lease == old.lease]
            lost = old.state == RUNNING and new.state == QUEUED
            if lost and len(companions) > 1 and not new.alone:
                yield "what was lost with others is to be trained with others again"


def _slot(old: Worker, worker: Worker, state: State, name: str) -> Iterator[str]:
    started = {member.trial for member in worker.members} - {member.trial for member in old.members}
    if started and (worker.draining or worker.ill):
        yield "a trial started on a slot that may start none"
    for member in worker.members:
        trial = state.trials[member.trial]
        if member.trial in started and member.epoch != _durable(trial):
            yield "I8 it started elsewhere than at its best checkpoint"
        own = trial.fence == member.fence and trial.lease == worker.lease
        if name.startswith("beat") and not own:
            yield "a heartbeat was answered for what is not its own"


def _change(old: Trial, new: Trial, name: str) -> Iterator[str]:
    if old.state in ENDED and new._replace(whole=old.whole) != old:
        yield "I1 a terminal row moved"
    if new.fence < old.fence:
        yield "I2 the fence went back"
    if new.result != old.result and new.result != new.fence:
        yield "I5 a result under another fence than the current one"
    if name.startswith("record") and new != old and new.row_fence != new.fence:
        yield "I5 a checkpoint under another fence than the current one"
    if _durable(new) < _durable(old):
        yield "I7 the best durable checkpoint went back"
    if new.epoch > old.epoch and not new.whole:
        yield "I7 a checkpoint's row without its file"
    if old.delayed and new.state == RUNNING:
        yield "a trial started before its pause was over"
    if old.cancel and new.state != CANCELLED and new.wish != old.wish and new.state == RUNNING:
        yield "something is wished of what is to be cancelled"
    yield from _searched(old, new)
    if old.cancel and not new.cancel:
        yield "a cancel was forgotten"


def _searched(old: Trial, new: Trial) -> Iterator[str]:
    """What the search of a sweep may do with a trial."""
    if old.halts and not new.halts and (old.held or old.wish == "stop"):
        yield "what its owner keeps back was promoted"
    if old.halts and not new.halts and not old.at_rung:
        yield "a trial was promoted that was not at its rung"
    if old.wish in ("pause", "stop") and new.wish == "prune":
        yield "the search overruled what its owner wished"
    ended = new.state == PRUNED != old.state
    if ended and (old.wish in ("pause", "stop") or old.held):
        yield "the search ended what its owner wanted otherwise"
    if ended and old.state == PAUSED and not old.at_rung:
        yield "the search ended what its owner had paused"
    if ended and old.cancel:
        yield "what is to be cancelled was pruned"


def _durable(trial: Trial) -> int:
    return trial.epoch if trial.whole else 0


def _log(before: State, move: Move) -> Iterator[str]:
    """I14: the events of a step, replayed by the service's own code, give the rows after it."""
    if not before.trials or (before.trials is move.state.trials and not move.events):
        return
    standings = [_standing(trial) for trial in before.trials]
    for event in move.events:
        told = standings[event.trial]
        if event.to_state is not None and event.from_state != told.state:
            yield f"I14 an event leaves {event.from_state}, the trial was {told.state}"
        if event.to_state is not None and told.state in ENDED:
            yield "I1 an event leaves a terminal state"
        if event.fence < told.fence:
            yield "I2 an event has an older fence than the one before it"
        standings[event.trial] = _replayed(told, event)
    for told, trial in zip(standings, move.state.trials, strict=True):
        if told != _standing(trial):
            yield f"I14 the events say {told}, the row is {trial}"


def _replayed(told: Standing, event: Event) -> Standing:
    return after(told, event.kind, event.to_state, event.fence, dict(event.data))


def _standing(trial: Trial) -> Standing:
    return Standing(
        trial.state, trial.fence, trial.losses, trial.held, trial.wish, trial.cancel
    )  # fmt: skip
