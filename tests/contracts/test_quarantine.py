"""GPUs out of service, slots that wait, and workers that drain, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from db import claims, quarantine, replay, waiting, workers
from db.engine import Database
from db.errors import NotPossible
from db.models import Event, Quarantine, Slot
from db.states import SlotState
from labpool.catalog import Catalog
from tests.support.pool import person, slot, step_clock, submitted, trial

TTL_S = 90.0
GPU = "GPU-1234"


def registered(database: Database, name: str, *uuids: str | None, host: str = "here") -> list[int]:
    """The slots of a worker with these GPUs."""
    info = workers.WorkerInfo(name, host, 1, "0", [], [], "store")
    slots = [
        workers.SlotInfo(index, "gpu" if uuid else "cpu", f"H200 {index}", ("train",), uuid)
        for index, uuid in enumerate(uuids)
    ]
    with database.transaction() as session:
        return workers.register_worker(session, info, slots)


def state(database: Database, slot_id: int) -> tuple[SlotState, str | None]:
    with database.snapshot() as session:
        row = session.get_one(Slot, slot_id)
        return row.state, row.reason


def test_a_quarantine_outlives_its_worker_and_ends_with_an_admin(database: Database) -> None:
    first, other = registered(database, "a", GPU, "GPU-else")
    with database.transaction() as session:
        quarantine.quarantine(session, first, "here", "It lost its memory.")
        quarantine.quarantine(session, first, "here", "It lost its memory again.")
    assert state(database, first) == (SlotState.QUARANTINED, "It lost its memory.")
    assert state(database, other) == (SlotState.READY, None)
    again, _ = registered(database, "b", GPU, "GPU-else")
    assert state(database, again) == (SlotState.QUARANTINED, "It lost its memory.")
    with database.transaction() as session:
        assert quarantine.reason_for_slot(session, again) == "It lost its memory."
        assert [row.device for row in quarantine.in_force(session)] == [GPU]
        admin = person(session, "root", "admin")
        row = quarantine.clear(session, str(again), admin)
        assert (row.device, row.host, row.name) == (GPU, "here", "H200 0")
    assert state(database, again) == (SlotState.READY, None)
    with database.transaction() as session:
        assert quarantine.reason_for_slot(session, again) is None
        assert quarantine.in_force(session) == []
        with pytest.raises(NotPossible, match="GPU-1234 is not out of service"):
            quarantine.clear(session, GPU, person(session, "root"))
        events = session.scalars(select(Event).order_by(Event.id)).all()
        assert [(event.kind, event.data["device"]) for event in events] == [
            ("quarantined", GPU), ("cleared", GPU),
        ]  # fmt: skip
        assert list(replay.differences(session)) == []
    with database.transaction() as session:
        quarantine.quarantine(session, again, "here", "Once more.")
    with database.transaction() as session:
        quarantine.clear(session, GPU, person(session, "root"))
        assert len(session.scalars(select(Quarantine)).all()) == 2


def test_a_slot_without_a_gpu_is_named_by_its_number(database: Database) -> None:
    [one, two] = registered(database, "a", None, None)
    with database.transaction() as session:
        quarantine.quarantine(session, one, "here", "It burns.")
    assert state(database, two)[0] is SlotState.READY
    with database.transaction() as session:
        quarantine.clear(session, f"slot-{one}", person(session, "root", "admin"))
    assert state(database, one)[0] is SlotState.READY


def test_a_slot_says_why_it_claims_nothing(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        [trial_id] = submitted(session, catalog, person(session))
        here = slot(session, catalog)
        workers.note_slot(session, here.slot_id, "used by hand: pid 7 (python), 4.1 GiB")
    assert state(database, here.slot_id)[1] == "used by hand: pid 7 (python), 4.1 GiB"
    with database.transaction() as session:
        assert "used by hand: pid 7" in (
            waiting.why_waiting(session, trial(session, trial_id)) or ""
        )
        workers.note_slot(session, here.slot_id, None)
        assert "by hand" not in (waiting.why_waiting(session, trial(session, trial_id)) or "")
        quarantine.quarantine(session, here.slot_id, "here", "It burns.")
        workers.note_slot(session, here.slot_id, None)
    assert state(database, here.slot_id) == (SlotState.QUARANTINED, "It burns.")
    with database.snapshot() as session:
        assert "labpool pool clear" in (
            waiting.why_waiting(session, trial(session, trial_id)) or ""
        )


def test_a_draining_worker_claims_nothing_more(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        [trial_id] = submitted(session, catalog, person(session))
        here = slot(session, catalog)
        workers.drain_worker(session, "here", True)
        assert claims.claim(session, here, TTL_S) is None
        assert "drained" in (waiting.why_waiting(session, trial(session, trial_id)) or "")
        workers.drain_worker(session, here.worker_id, False)
        assert claims.claim(session, here, TTL_S) is not None


def test_a_worker_to_drain_is_named_without_doubt(database: Database) -> None:
    registered(database, "a", None)
    registered(database, "b", None)
    with database.transaction() as session:
        with pytest.raises(NotPossible, match="2 workers; name one of a, b"):
            workers.drain_worker(session, "here", True)
        with pytest.raises(NotPossible, match="No worker 'there' is alive"):
            workers.drain_worker(session, "there", True)
        drained = workers.drain_worker(session, "b", True).drain_at
        assert drained is not None
    step_clock(database, 50)
    with database.transaction() as session:
        assert workers.drain_worker(session, "b", True).drain_at == drained


def test_a_slot_registered_before_the_quarantine_was_seen_claims_nothing(
    database: Database, catalog: Catalog
) -> None:
    [first] = registered(database, "a", GPU)
    with database.transaction() as session:
        late = slot(session, catalog, device="gpu")
        quarantine.quarantine(session, first, "here", "It lost its memory.")
        # As it is when its registration did not see the other's transaction.
        session.execute(update(Slot).where(Slot.id == late.slot_id).values(gpu_uuid=GPU))
        [trial_id] = submitted(session, catalog, person(session), {"device": "gpu"})
        assert claims.claim(session, late, TTL_S) is None
        quarantine.clear(session, GPU, person(session, "root", "admin"))
        found = claims.claim(session, late, TTL_S)
    assert found is not None and found.trials[0].trial_id == trial_id


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ("²", "is not out of service"), ("9" * 30, "is not out of service"),
        ("GPU-none", "is not out of service"), ("7", "There is no slot 7"),
    ],
)  # fmt: skip
def test_what_is_no_device_is_not_out_of_service(
    database: Database, device: str, says: str
) -> None:
    with database.transaction() as session:
        admin = person(session, "root", "admin")
        with pytest.raises(NotPossible, match=says):
            quarantine.clear(session, device, admin)
