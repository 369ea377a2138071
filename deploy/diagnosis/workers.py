"""What the database knows: workers, slots, the artifact store, and trials that wait in vain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import func, select

from db import clock
from db.artifacts import read_store_id
from db.engine import Database
from db.models import Quarantine, Slot, Trial, Worker
from db.quarantine import device_of, in_force
from db.serving import Lack, Needs, Serving
from db.states import SlotState, TrialState
from db.workers import alive, bound_store
from labpool.diagnosis import Finding, note, ok, problem
from labpool.durations import duration
from labpool.settings import Settings

WORKERS, STORE, QUEUE = "workers", "artifact store", "queue"
UNDRAIN = "labpool pool drain --undo "
AGAIN = "labpool worker        (started anew, it reads the catalog again)"
START_AGAIN = "labpool worker        (there, if that process is gone or hangs)"
START_ONE = "labpool worker        (on the machine that is to work for the pool)"

# What puts it right, by the kind of what is lacking; the others may as well be cancelled.
REMEDIES = {
    "worker": START_ONE,
    "service": "labpool pool        (names the devices)\nlabpool pool clear DEVICE",
    "drained": f"{UNDRAIN}HOST        (or wait for another worker)",
    "aside": "labpool pool        (once the reason is gone, the slot takes it by itself)",
}
ELSE = {
    "device": "add a machine that has one",
    "shared": "set LABPOOL_SLOTS_PER_GPU=1 for one worker",
    "package": "install it on a worker's machine",
    "code": "submit it again",
    "data": "submit it again",
}


def check_workers(database: Database, is_up: bool) -> list[Finding]:
    """Who works for the pool, who fell silent, and which slots are out of use."""
    with database.snapshot() as session:
        now = clock.now(session)
        living = session.scalars(select(Worker).where(alive())).all()
        silent = session.scalars(
            select(Worker).where(Worker.stopped_at.is_(None), ~alive()).order_by(Worker.seen_at)
        ).all()
        slots = session.scalars(
            select(Slot).join(Worker, Worker.id == Slot.worker_id).where(alive())
        ).all()
        closed = in_force(session)
    findings = []
    if living:
        ready = Counter(slot.device for slot in slots if slot.state is SlotState.READY)
        shown = ", ".join(f"{count} {device.upper()}" for device, count in sorted(ready.items()))
        hosts = ", ".join(sorted({worker.host for worker in living}))
        findings.append(ok(WORKERS, f"{len(living)} alive on {hosts}; slots ready: {shown or 0}"))
    elif is_up:
        says = "None is alive, though the service runs."
        findings.append(problem(WORKERS, says, f"labpool pool\n{START_ONE}"))
    else:
        findings.append(note(WORKERS, "none is alive", "labpool up"))
    if silent:
        says = "; ".join(
            f"{worker.host}, process {worker.pid}, was last heard of "
            f"{duration(now - worker.seen_at)} ago"
            for worker in silent[-3:]
        )
        findings.append(note(WORKERS, f"{len(silent)} fell silent: {says}", START_AGAIN))
    findings += [
        note(WORKERS, f"{worker.host} is being drained and takes nothing more", UNDRAIN + worker.id)
        for worker in living
        if worker.drain_at is not None
    ]
    return (
        findings
        + [
            note(WORKERS, f"Slot {slot.name} takes nothing just now: {slot.reason}", "labpool pool")
            for slot in slots
            if slot.state is SlotState.READY and slot.reason is not None
        ]
        + _out_of_service(slots, closed)
    )


def _out_of_service(slots: Sequence[Slot], closed: Sequence[Quarantine]) -> list[Finding]:
    found = [
        problem(
            WORKERS,
            f"{row.name} of {row.host} is out of service: {row.reason}",
            f"labpool pool clear {row.device}        (when the device is well again)",
        )
        for row in closed
    ]
    named = {row.device for row in closed}
    return found + [
        problem(
            WORKERS,
            f"Slot {slot.name} is out of service: {slot.reason or 'no reason recorded'}",
            "Restart that machine's worker when the device is well again",
        )
        for slot in slots
        if slot.state is SlotState.QUARANTINED and device_of(slot) not in named
    ]


def check_store(database: Database, settings: Settings) -> Finding:
    """Whether the artifact folder here is the one that the pool's results are in."""
    folder = settings.artifacts_dir
    here = read_store_id(folder)
    with database.snapshot() as session:
        bound = bound_store(session)
    if bound is None:
        return note(STORE, f"{folder}; no worker has used the pool yet")
    if here is None:
        says = f"{folder} is no artifact store, and the pool has one with the id {bound}."
    elif here != bound:
        says = f"{folder} has the id {here}, the pool's store the id {bound}."
    else:
        return ok(STORE, f"{folder}, id {here[:12]}")
    return problem(STORE, says, "export LABPOOL_STORE_DIR=…        (the pool's shared folder)")


def check_queue(database: Database) -> list[Finding]:
    """Trials that wait for something the pool does not have, told once a kind."""
    with database.snapshot() as session:
        serving = Serving(session)
        # One of each kind says it for all of them.
        kinds = session.execute(
            select(func.min(Trial.id), func.count())
            .where(Trial.state == TrialState.QUEUED, Trial.held.is_(False))
            .group_by(Trial.device, Trial.kind, Trial.code_digest, Trial.data_digest)
        ).all()
        total = sum(count for _, count in kinds)
        findings = []
        for trial_id, count in sorted((first, count) for first, count in kinds):
            lack = serving.lack(Needs.of(session.get_one(Trial, trial_id)))
            if lack is not None:
                findings.append(_waits_in_vain(trial_id, count, lack))
    trials = f"{total} trial waits" if total == 1 else f"{total} trials wait"
    return findings or [ok(QUEUE, trials if total else "empty")]


def _waits_in_vain(trial_id: int, count: int, lack: Lack) -> Finding:
    trials = f"Trial {trial_id}" + (f" and {count - 1} more" if count > 1 else "")
    verb = "wait" if count > 1 else "waits"
    mend = REMEDIES.get(lack.kind)
    if mend is None:  # the pool as it is will never run it
        lead = AGAIN if lack.kind in ("code", "data") else "labpool pool"
        mend = f"{lead}\nlabpool cancel {trial_id} --trial        (or {ELSE[lack.kind]})"
    return problem(QUEUE, f"{trials} {verb} in vain. {lack.sentence}", mend)
