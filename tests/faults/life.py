"""A trial's life as a small machine: its states, and what the database lets happen to them.

Every guard has a name and can be taken away (``off``), to see that something is caught then. A
guard is named after its condition in `db/`; conditions that imply each other are one guard.
"""

from __future__ import annotations

from typing import Any, NamedTuple

QUEUED, RUNNING, PAUSED = "queued", "running", "paused"
SUCCEEDED, FAILED, CANCELLED, LOST = "succeeded", "failed", "cancelled", "lost"
PRUNED = "pruned"
ENDED = frozenset({SUCCEEDED, FAILED, CANCELLED, LOST, PRUNED})
MAX_LOSSES = 2
# Trials 0 and 1 can be trained together.
GROUP = frozenset({0, 1})

# Each with the small search in which its absence shows soonest (tests/faults/model.py).
GUARDS = {
    "submit: the key is unused": "a look",
    "_may_claim: no live lease of the slot": "two trials",
    "_may_claim: Slot.state == READY": "a look",
    "_may_claim: Worker.drain_at is None": "a look",
    "siblings: Trial.fuse_key == head.fuse_key": "a group",
    "siblings: Trial.alone is False": "a group",
    "start: Trial.state == QUEUED": "a look",
    "start: Trial.fence == the one seen": "a look",
    "start: Trial.held is False": "a look",
    "due: Trial.not_before <= now": "a look",
    "heartbeat: Trial.lease_id and fence are mine": "losses",
    "own: Trial.fence == fence": "losses",
    "own: Trial.state == RUNNING": "losses",
    "record_checkpoint: the file is durable first": "a look",
    "record_checkpoint: the path has the fence": "losses",
    "pause: what is to be cancelled is": "requests",
    "pause: Trial.wish == PAUSE still": "requests",
    "release: what is to be cancelled is": "a look",
    "give_back: what is to be cancelled is": "a request",
    "requeue: what was to be paused waits held": "a look",
    "_still: fence, state and lease as seen": "a stale sweep",
    "_still: Lease.expires_at < now still": "a stale sweep",
    "_take_back: what is to be cancelled is": "a request",
    "_take_back: losses < max_losses": "losses",
    "_was_together: what was lost with others is alone": "two trials",
    "cancel_waiting: Trial.state == the one seen": "requests",
    "cancel_waiting: Trial.fence == the one seen": "a look",
    "request_cancel: Trial.state == RUNNING": "a look",
    "request_cancel: Trial.fence == the one seen": "a look",
    "prune: what is to be cancelled is": "a search",
    "prune: Trial.wish == PRUNE still": "a search",
    "promote: Trial.at_rung is True": "a search",
    "promote: Trial.held is False": "a search",
    "promote: Trial.fence == the one seen": "a search twice",
    "prune_waiting: Trial.state == the one seen": "a stale search",
    "prune_waiting: Trial.fence == the one seen": "a stale search",
    "prune_waiting: Trial.held is False": "a search",
    "prune_waiting: Trial.wish is None or PRUNE": "a search",
    "prune_waiting: what is paused is at its rung": "a search",
    "request_prune: Trial.state == RUNNING": "a stale search",
    "request_prune: Trial.fence == the one seen": "a stale search",
    "request_prune: Trial.cancel_requested is False": "a search",
    "request_prune: Trial.wish is None": "a search",
    "resume: Trial.state == PAUSED": "requests",
    "resume: Trial.fence == the one seen": "many requests",
    "hold: Trial.state == QUEUED": "requests",
    "hold: Trial.fence == the one seen": "a look",
    "wish: Trial.state == RUNNING": "a look",
    "wish: Trial.fence == the one seen": "a look",
    "wish: Trial.cancel_requested is False": "requests",
    "slot: its runner is held still before its lease is past": "losses",
    "slot: the lock of the GPU": "losses",
}


class Trial(NamedTuple):
    """A row. ``asked`` is what its owner last wanted; nobody reads it but the invariants.

    ``epoch``, ``row_fence`` and ``whole`` are the newest checkpoint's row and its file's state.
    ``halts``: at its rung, which is after the first epoch; one that was promoted does not.
    """

    state: str = QUEUED
    fence: int = 0
    losses: int = 0
    lease: int = 0
    cancel: bool = False
    held: bool = False
    wish: str | None = None
    alone: bool = False
    delayed: bool = False
    asked: str = "go"
    epoch: int = 0
    row_fence: int = 0
    whole: bool = True
    result: int = 0
    halts: bool = False
    at_rung: bool = False


class Member(NamedTuple):
    """A trial as the slot that runs it knows it; ``put``: the next epoch's file is in the store."""

    trial: int
    fence: int
    epoch: int = 0
    put: bool = False
    told: str | None = None
    halts: bool = False


class Worker(NamedTuple):
    """A worker with one slot. ``link`` is ok, cut, stuck, or late: free again, not yet aware."""

    slot: int
    up: bool = True
    link: str = "ok"
    still: bool = False
    lease: int = 0
    members: tuple[Member, ...] = ()
    draining: bool = False
    ill: bool = False
    orphan: bool = False


class Lease(NamedTuple):
    """A live lease; ended ones are forgotten. ``together``: it was given for several trials."""

    id: int
    slot: int
    past: bool = False
    together: bool = False


class Event(NamedTuple):
    """A row of the log."""

    trial: int
    kind: str
    fence: int
    from_state: str | None = None
    to_state: str | None = None
    data: tuple[tuple[str, object], ...] = ()


class State(NamedTuple):
    """Everything. ``seen`` is what somebody read and has not acted on yet."""

    trials: tuple[Trial, ...]
    workers: tuple[Worker, ...]
    leases: tuple[Lease, ...] = ()
    seen: tuple[Any, ...] | None = None
    experiments: int = 0
    faults: int = 0
    asks: int = 0
    looks: int = 0
    releases: int = 0


Step = tuple[State, tuple[Event, ...]]


class Database:
    """What may be written. Each write gives the state after it, or None when it reports no row."""

    def __init__(self, off: frozenset[str] = frozenset()) -> None:
        self.off = off

    def on(self, guard: str) -> bool:
        """Whether a guard is in place."""
        return guard not in self.off

    def start(self, state: State, worker: int, wanted: tuple[tuple[int, int], ...]) -> Step | None:
        """Transition 2: trials as they were seen (with their fences), under one new lease."""
        lease = _unused_lease(state)
        trials, members, events = list(state.trials), [], []
        for number, fence in wanted:
            trial = trials[number]
            if (
                (trial.state != QUEUED and self.on("start: Trial.state == QUEUED"))
                or (trial.fence != fence and self.on("start: Trial.fence == the one seen"))
                or (trial.held and self.on("start: Trial.held is False"))
                or (trial.delayed and self.on("due: Trial.not_before <= now"))
            ):
                continue
            trials[number] = trial._replace(
                state=RUNNING, fence=fence + 1, lease=lease, delayed=False
            )
            halts = trial.halts and trial.wish != "stop"
            epoch = trial.epoch if trial.whole else 0
            members.append(Member(number, fence + 1, epoch, halts=halts))
            events.append(Event(number, "started", fence + 1, QUEUED, RUNNING))
        if not members:
            return None
        doer = state.workers[worker]
        after = state._replace(
            trials=tuple(trials),
            leases=(*state.leases, Lease(lease, doer.slot, together=len(members) > 1)),
        )
        doer = doer._replace(lease=lease, members=tuple(members))
        return put_worker(after, worker, doer), tuple(events)

    def owned(self, state: State, member: Member) -> bool:
        """Whether `own` finds the trial's row."""
        trial = state.trials[member.trial]
        return (trial.fence == member.fence or not self.on("own: Trial.fence == fence")) and (
            trial.state == RUNNING or not self.on("own: Trial.state == RUNNING")
        )

    def end(self, state: State, number: int, to_state: str, **columns: object) -> Step:
        """Transitions 5 and 9."""
        trial = state.trials[number]
        after = trial._replace(state=to_state, lease=0, wish=None, **columns)  # type: ignore[arg-type]
        data = (("held", True),) if columns.get("held") else ()
        event = Event(number, to_state, trial.fence, trial.state, to_state, data)
        return close_lease(put_trial(state, number, after), trial.lease), (event,)

    def requeue(
        self,
        state: State,
        number: int,
        *,
        lost: bool = False,
        alone: bool = False,
        delayed: bool = False,
    ) -> Step:
        """Transitions 6 and 7. ``alone``: from now on; ``delayed``: after a pause."""
        trial = state.trials[number]
        to_pause = trial.wish == "pause" and self.on("requeue: what was to be paused waits held")
        after = trial._replace(
            state=QUEUED, lease=0, fence=trial.fence + 1, losses=trial.losses + lost,
            held=trial.held or to_pause, wish=None if to_pause else trial.wish,
            alone=trial.alone or alone, delayed=delayed,
        )  # fmt: skip
        event = Event(
            number, "requeued", after.fence, trial.state, QUEUED,
            (("lost", lost), ("held", to_pause)),
        )  # fmt: skip
        return close_lease(put_trial(state, number, after), trial.lease), (event,)

    def give_up(self, state: State, number: int, guard: str, *, apart: bool = False) -> Step:
        """Back into the queue; what is to be cancelled is cancelled instead.

        ``apart``: to run alone, after a pause.
        """
        if state.trials[number].cancel and self.on(guard):
            return self.end(state, number, CANCELLED)
        return self.requeue(state, number, alone=apart, delayed=apart)

    def pause(self, state: State, number: int, *, arrived: bool = False) -> Step:
        """Transition 5 to PAUSED. ``arrived``: at its rung."""
        trial = state.trials[number]
        if trial.cancel and self.on("pause: what is to be cancelled is"):
            return self.end(state, number, CANCELLED)
        if trial.wish == "prune":
            return self.end(state, number, PRUNED)
        if arrived and trial.wish in (None, "pause"):
            return self.end(state, number, PAUSED, at_rung=True, held=trial.wish == "pause")
        if trial.wish != "pause" and self.on("pause: Trial.wish == PAUSE still"):
            return self.requeue(state, number)
        return self.end(state, number, PAUSED)

    def prune(self, state: State, number: int) -> Step:
        """Transition 5 to PRUNED."""
        trial = state.trials[number]
        if trial.cancel and self.on("prune: what is to be cancelled is"):
            return self.end(state, number, CANCELLED)
        if trial.wish != "prune" and self.on("prune: Trial.wish == PRUNE still"):
            return self.requeue(state, number)
        return self.end(state, number, PRUNED)

    def take_back(self, state: State, seen: tuple[int, int, int]) -> Step | None:
        """Transition 7, if the trial and its lease are still as they were seen."""
        number, fence, lease = seen
        trial = state.trials[number]
        as_seen = (trial.state, trial.fence, trial.lease) == (RUNNING, fence, lease)
        if not as_seen and self.on("_still: fence, state and lease as seen"):
            return None
        held = next((lease for lease in state.leases if lease.id == trial.lease), None)
        past = held is not None and held.past
        # With the row no longer as seen, its lease need not be there to be looked at.
        if as_seen and not past and self.on("_still: Lease.expires_at < now still"):
            return None
        if trial.cancel and self.on("_take_back: what is to be cancelled is"):
            return self.end(state, number, CANCELLED)
        if trial.losses + 1 >= MAX_LOSSES and self.on("_take_back: losses < max_losses"):
            return self.end(state, number, LOST, losses=trial.losses + 1)
        together = held is not None and held.together
        return self.requeue(
            state, number, lost=True,
            alone=together and self.on("_was_together: what was lost with others is alone"),
        )  # fmt: skip


def _unused_lease(state: State) -> int:
    """The least number that nobody remembers; counting on would tell equal states apart."""
    known = {lease.id for lease in state.leases} | {trial.lease for trial in state.trials}
    known |= {worker.lease for worker in state.workers}
    if state.seen is not None and state.seen[0] == "sweep":
        known.add(state.seen[1][2])
    return next(number for number in range(1, len(known) + 2) if number not in known)


def put_trial(state: State, number: int, trial: Trial) -> State:
    """With another row for one trial."""
    trials = state.trials
    return state._replace(trials=(*trials[:number], trial, *trials[number + 1 :]))


def put_worker(state: State, number: int, worker: Worker) -> State:
    """With another worker."""
    workers = state.workers
    return state._replace(workers=(*workers[:number], worker, *workers[number + 1 :]))


def close_lease(state: State, lease: int) -> State:
    """Ended with the last trial that refers to it."""
    if any(trial.lease == lease for trial in state.trials):
        return state
    return state._replace(leases=tuple(held for held in state.leases if held.id != lease))
