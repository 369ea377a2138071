"""What slots, people, the sweeper and faults may do next, all of it from one state."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.asking import AT_RUNG, COMMANDS, SEARCHES, ask
from tests.faults.life import (
    ENDED,
    QUEUED,
    Database,
    Event,
    Lease,
    State,
    Step,
    Trial,
    Worker,
    put_trial,
    put_worker,
)
from tests.faults.moves import Bounds, Move
from tests.faults.slot_moves import SlotMoves

# What goes on by itself when nobody does anything and nothing fails any more.
PROGRESS = frozenset(
    {"submit", "claim", "act", "put", "record", "succeed", "pause", "cancel", "beat", "give back",
     "sweep", "expire", "due", "hold still", "heal", "start worker", "orphan ends", "halt",
     "promote", "prune"}
)  # fmt: skip


class Actors:
    """Everybody who does something, with the database between them."""

    def __init__(self, database: Database, bounds: Bounds) -> None:
        self.database = database
        self.bounds = bounds
        self.on = database.on
        self.slots = SlotMoves(database, bounds)

    def beginning(self) -> State:
        """Nothing submitted, every worker idle."""
        workers = tuple(Worker(slot=number) for number in range(self.bounds.workers))
        return State((), workers)

    def moves(self, state: State) -> Iterator[Move]:
        """Everything that may happen next."""
        yield from self._submit(state)
        yield from self._act(state)
        for number, worker in enumerate(state.workers):
            if worker.up:
                yield from self.slots.moves(state, number, worker)
            yield from self._befall(state, number, worker)
        for lease in state.leases:
            yield from self._lease(state, lease)
        for number, trial in enumerate(state.trials):
            if trial.delayed and trial.state == QUEUED:
                yield Move("due", put_trial(state, number, trial._replace(delayed=False)))
            yield from self._people(state, number, trial)
            if self.bounds.rungs and trial.state not in ENDED:
                yield from self._search(state, number, trial)

    def _submit(self, state: State) -> Iterator[Move]:
        """The request may come twice, when its answer was lost."""
        if not state.experiments:
            trials = (Trial(halts=self.bounds.rungs),) * self.bounds.trials
            queued = tuple(Event(n, "queued", 0, None, QUEUED) for n in range(len(trials)))
            yield Move("submit", state._replace(trials=trials, experiments=1), queued)
        elif state.experiments == 1 and not self.on("submit: the key is unused"):
            yield Move("submit again", state._replace(experiments=state.experiments + 1))

    # The sweeper, and who acts on what was seen.

    def _lease(self, state: State, lease: Lease) -> Iterator[Move]:
        holders = [worker for worker in state.workers if worker.up and worker.lease == lease.id]
        silent = all(
            worker.link == "stuck"
            or worker.still
            or (worker.link == "cut"
                and not self.on("slot: its runner is held still before its lease is past"))
            for worker in holders
        )  # fmt: skip
        if not lease.past:
            if silent:
                past = tuple(x._replace(past=True) if x == lease else x for x in state.leases)
                yield Move("expire", state._replace(leases=past))
            return
        for number, trial in enumerate(state.trials):
            if trial.lease != lease.id:
                continue
            seen = (number, trial.fence, lease.id)
            step = self.database.take_back(state, seen)
            assert step is not None
            yield Move(f"sweep {number}", *step)
            if state.seen is None and state.looks < self.bounds.looks:
                kept = state._replace(seen=("sweep", seen), looks=state.looks + 1)
                yield Move("look", kept)

    def _act(self, state: State) -> Iterator[Move]:
        """The second step of who looked earlier."""
        if state.seen is None:
            return
        kind, *what = state.seen
        done = state._replace(seen=None)
        step: Step | None
        if kind == "sweep":
            step = self.database.take_back(done, what[0])
            name = f"act: sweep {what[0][0]}"
        elif kind == "claim":
            number, wanted = what
            worker = state.workers[number]
            free = worker.up and worker.link in ("ok", "late") and not worker.members and not any(
                lease.slot == worker.slot for lease in state.leases
            ) and not worker.orphan  # fmt: skip
            step = self.database.start(done, number, wanted) if free else None
            name = f"act: claim {number}"
        else:
            number, row, command = what
            step = ask(self.database, done, number, row, command)
            name = f"act: {command} {number}"
        yield Move(name, *(step or (done, ())))

    # People.

    def _people(self, state: State, number: int, trial: Trial) -> Iterator[Move]:
        if state.asks >= self.bounds.asks or trial.state in ENDED:
            return
        asked = state._replace(asks=state.asks + 1)
        for command in AT_RUNG if trial.at_rung else COMMANDS[trial.state]:
            step = ask(self.database, asked, number, trial, command)
            if step is None:
                continue
            yield Move(f"{command} {number}", *step)
            if state.seen is None and state.looks < self.bounds.looks:
                seen = ("ask", number, trial, command)
                yield Move("look", asked._replace(seen=seen, looks=asked.looks + 1))

    def _search(self, state: State, number: int, trial: Trial) -> Iterator[Move]:
        """What the sweep of a trial may do with it, as it was seen when its lock was taken."""
        for command in SEARCHES[trial.state]:
            step = ask(self.database, state, number, trial, command)
            if step is None:
                continue
            yield Move(f"{command} {number}", *step)
            if state.seen is None and state.looks < self.bounds.looks:
                seen = ("ask", number, trial, command)
                yield Move("look", state._replace(seen=seen, looks=state.looks + 1))

    # What befalls workers.

    def _befall(self, state: State, number: int, worker: Worker) -> Iterator[Move]:
        if worker.orphan:
            yield Move("orphan ends", put_worker(state, number, worker._replace(orphan=False)))
        if not worker.up:
            fresh = put_worker(state, number, Worker(worker.slot, orphan=worker.orphan))
            # A new worker has slots of its own; what the old one held belongs to no slot that is.
            leases = tuple(
                lease._replace(slot=-lease.id) if lease.slot == worker.slot else lease
                for lease in state.leases
            )
            yield Move("start worker", fresh._replace(leases=leases))
            return
        if worker.link == "cut" and not worker.still:
            yield Move("hold still", put_worker(state, number, worker._replace(still=True)))
        if worker.link in ("cut", "stuck"):
            link = "ok" if worker.link == "cut" else "late"
            yield Move("heal", put_worker(state, number, worker._replace(link=link)))
        idle = not worker.members and state.seen is None
        if idle and state.asks < self.bounds.asks:
            asked = state._replace(asks=state.asks + 1)
            for barred in (worker._replace(draining=True), worker._replace(ill=True)):
                yield Move("bar", put_worker(asked, number, barred))
        if state.faults >= self.bounds.faults:
            return
        faulty = state._replace(faults=state.faults + 1)
        if worker.members:
            for orphan in (False, True):
                dead = Worker(slot=worker.slot, up=False, orphan=orphan)
                yield Move("crash", put_worker(faulty, number, dead))
            if worker.link == "ok":
                for link in ("cut", "stuck"):
                    after = put_worker(faulty, number, worker._replace(link=link))
                    yield Move(link, after)
