"""What a worker's slot may do next: claim, run, write, beat and give back."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.life import (
    CANCELLED,
    FAILED,
    GROUP,
    QUEUED,
    SUCCEEDED,
    Database,
    Event,
    Member,
    State,
    Worker,
    put_trial,
    put_worker,
)
from tests.faults.moves import Bounds, Move

LAST_EPOCH = 1
# Where one halts that halts at all; it goes on only to succeed.
RUNG = 1


class SlotMoves:
    """A slot that is up, with the database that it asks."""

    def __init__(self, database: Database, bounds: Bounds) -> None:
        self.database = database
        self.bounds = bounds
        self.on = database.on

    def moves(self, state: State, number: int, worker: Worker) -> Iterator[Move]:
        """Everything that it may do next."""
        for place, member in enumerate(worker.members):
            # A runner that is held still does nothing; one that is cut off may still put files.
            if not worker.still and not member.put and member.epoch < LAST_EPOCH:
                yield self._put(state, number, place, member)
        if worker.link not in ("ok", "late"):
            return
        if not worker.members:
            yield from self._idle(state, number, worker)
            return
        yield from self._beat(state, number, worker)
        if worker.still:
            return
        for place, member in enumerate(worker.members):
            yield from self._write(state, number, place, member)
        yield from self._release(state, number, worker)

    def _put(self, state: State, number: int, place: int, member: Member) -> Move:
        """The next epoch's file. With a path that others use too, theirs is overwritten."""
        trial = state.trials[member.trial]
        shared = not self.on("record_checkpoint: the path has the fence")
        if shared and trial.epoch == member.epoch + 1 and trial.row_fence != member.fence:
            state = put_trial(state, member.trial, trial._replace(whole=False))
        elif trial.epoch == member.epoch + 1 and trial.row_fence == member.fence:
            state = put_trial(state, member.trial, trial._replace(whole=True))
        return Move("put", _know(state, number, place, member._replace(put=True)))

    def _write(self, state: State, number: int, place: int, member: Member) -> Iterator[Move]:
        """What the owner writes; refused when it is no longer its own, and then it forgets it."""
        trial = state.trials[member.trial]
        if not self.database.owned(state, member):
            yield Move("fenced off", _forget(state, number, place))
            return
        durable = member.put or not self.on("record_checkpoint: the file is durable first")
        if member.epoch < LAST_EPOCH and durable and trial.epoch <= member.epoch:
            row = trial._replace(epoch=member.epoch + 1, row_fence=member.fence, whole=member.put)
            known = member._replace(epoch=member.epoch + 1, put=False)
            after = put_trial(_know(state, number, place, known), member.trial, row)
            yield Move(f"record {member.trial}", after)
        ends = [("fail", self.database.end(state, member.trial, FAILED))]
        halts = member.halts and member.told != "stop"
        if not halts:
            succeeded = self.database.end(state, member.trial, SUCCEEDED, result=member.fence)
            ends.append(("succeed", succeeded))
        elif member.epoch == RUNG:
            halted = self.database.pause(state, member.trial, arrived=True)
            ends.append(("halt", halted))
        if trial.cancel:
            ends.append(("cancel", self.database.end(state, member.trial, CANCELLED)))
        if member.told == "pause":
            ends.append(("pause", self.database.pause(state, member.trial)))
        if member.told == "prune":
            ends.append(("prune", self.database.prune(state, member.trial)))
        for name, (after, events) in ends:
            yield Move(f"{name} {member.trial}", _forget(after, number, place), events)
            if state.faults < self.bounds.faults and name in ("succeed", "halt"):
                # The answer to its COMMIT is lost: it will try again.
                lost = after._replace(faults=after.faults + 1)
                yield Move(f"{name} {member.trial}, unheard", lost, events)

    def _beat(self, state: State, number: int, worker: Worker) -> Iterator[Move]:
        live = any(lease.id == worker.lease for lease in state.leases)
        mine = self.on("heartbeat: Trial.lease_id and fence are mine")
        known = []
        for member in worker.members:
            trial = state.trials[member.trial]
            own = live and trial.lease == worker.lease and trial.fence == member.fence
            if own or not mine:
                known.append(member._replace(told=None if trial.cancel else trial.wish))
        after = state._replace(
            leases=tuple(
                lease._replace(past=False) if lease.id == worker.lease else lease
                for lease in state.leases
            )
        )
        heard = worker._replace(members=tuple(known), link="ok", still=False)
        if not known:
            heard = heard._replace(lease=0)
        after = put_worker(after, number, heard)
        if after != state:
            yield Move(f"beat {number}", after)

    def _release(self, state: State, number: int, worker: Worker) -> Iterator[Move]:
        """The worker is shut down, or the group's runner crashed: all that it holds goes back."""
        if state.releases >= self.bounds.releases:
            return
        for apart in (False, True):
            after = state
            events: tuple[Event, ...] = ()
            for member in worker.members:
                if self.database.owned(state, member):
                    after, more = self.database.give_up(
                        after, member.trial, "release: what is to be cancelled is", apart=apart
                    )
                    events = (*events, *more)
            after = put_worker(after, number, worker._replace(members=(), lease=0))
            after = after._replace(releases=after.releases + 1)
            yield Move("release", after, events)

    def _idle(self, state: State, number: int, worker: Worker) -> Iterator[Move]:
        busy = [lease for lease in state.leases if lease.slot == worker.slot]
        for lease in busy:
            # It was given something and never heard of it.
            after = state
            events: tuple[Event, ...] = ()
            for trial_number, trial in enumerate(state.trials):
                if trial.lease == lease.id:
                    after, more = self.database.give_up(
                        after, trial_number, "give_back: what is to be cancelled is"
                    )
                    events = (*events, *more)
            yield Move("give back", after, events)
        barred = (
            (bool(busy) and self.on("_may_claim: no live lease of the slot"))
            or (worker.ill and self.on("_may_claim: Slot.state == READY"))
            or (worker.draining and self.on("_may_claim: Worker.drain_at is None"))
            or (worker.orphan and self.on("slot: the lock of the GPU"))
        )
        if barred or (state.seen is not None and state.seen[:2] == ("claim", number)):
            return
        for wanted in self._wanted(state):
            step = self.database.start(state, number, wanted)
            assert step is not None
            after, events = step
            yield Move(f"claim {number}", after, events)
            if state.faults < self.bounds.faults:
                deaf = after.workers[number]._replace(lease=0, members=())
                lost = put_worker(after, number, deaf)._replace(faults=after.faults + 1)
                yield Move(f"claim {number}, unheard", lost, events)
            if state.seen is None and state.looks < self.bounds.looks:
                seen = ("claim", number, wanted)
                yield Move("look", state._replace(seen=seen, looks=state.looks + 1))

    def _wanted(self, state: State) -> Iterator[tuple[tuple[int, int], ...]]:
        """Each trial that may run, with those that can be trained together with it."""
        free = [number for number, trial in enumerate(state.trials)
                if trial.state == QUEUED and not trial.held
                and not (trial.delayed and self.on("due: Trial.not_before <= now"))]  # fmt: skip
        for head in free:
            with_it = [head]
            alone = state.trials[head].alone and self.on("siblings: Trial.alone is False")
            for other in free:
                fits = {head, other} <= GROUP or not self.on(
                    "siblings: Trial.fuse_key == head.fuse_key"
                )
                apart = state.trials[other].alone and self.on("siblings: Trial.alone is False")
                if other != head and fits and not apart and not alone and len(with_it) < 2:
                    with_it.append(other)
            yield tuple((number, state.trials[number].fence) for number in with_it)


def _know(state: State, number: int, place: int, member: Member) -> State:
    worker = state.workers[number]
    members = (*worker.members[:place], member, *worker.members[place + 1 :])
    return put_worker(state, number, worker._replace(members=members))


def _forget(state: State, number: int, place: int) -> State:
    worker = state.workers[number]
    members = (*worker.members[:place], *worker.members[place + 1 :])
    lease = worker.lease if members else 0
    return put_worker(state, number, worker._replace(members=members, lease=lease))
