"""States that differ only in which of two equal workers or group members is which are one."""

from __future__ import annotations

from typing import Any

from tests.faults.life import GROUP, State, Worker


def canonical(state: State) -> State:
    """The one of a state's mirror images that stands for all of them."""
    if len(state.workers) == 2 and _worker_key(state.workers[1]) < _worker_key(state.workers[0]):
        state = _other_workers(state)
    if len(state.trials) > len(GROUP):
        mirrored = _other_trials(state)
        if _group_key(mirrored) < _group_key(state):
            state = mirrored
    return state


def _worker_key(worker: Worker) -> tuple[Any, ...]:
    members = tuple((*member[:4], member.told or "", member.halts) for member in worker.members)
    return (*worker[1:5], members, *worker[6:])


def _group_key(state: State) -> tuple[Any, ...]:
    return tuple((*trial[:6], trial.wish or "", *trial[7:]) for trial in state.trials[: len(GROUP)])


def _other_workers(state: State) -> State:
    first, second = state.workers
    slots = {first.slot: second.slot, second.slot: first.slot}
    seen = state.seen
    if seen is not None and seen[0] == "claim":
        seen = ("claim", 1 - seen[1], *seen[2:])
    return state._replace(
        workers=(second._replace(slot=first.slot), first._replace(slot=second.slot)),
        leases=tuple(
            lease._replace(slot=slots.get(lease.slot, lease.slot)) for lease in state.leases
        ),
        seen=seen,
    )


def _other_trials(state: State) -> State:
    other = {0: 1, 1: 0}

    def named(number: int) -> int:
        return other.get(number, number)

    workers = tuple(
        worker._replace(
            members=tuple(
                sorted(
                    (member._replace(trial=named(member.trial)) for member in worker.members),
                    key=lambda member: member.trial,
                )
            )
        )
        for worker in state.workers
    )
    seen = state.seen
    match seen:
        case ("sweep", (number, fence, lease)):
            seen = ("sweep", (named(number), fence, lease))
        case ("claim", worker, wanted):
            wanted = tuple((named(number), fence) for number, fence in wanted)
            seen = ("claim", worker, tuple(sorted(wanted)))
        case ("ask", number, row, command):
            seen = ("ask", named(number), row, command)
    first, second, *others = state.trials
    return state._replace(trials=(second, first, *others), workers=workers, seen=seen)
