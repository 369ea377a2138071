"""What a worker tells in its log and on the pool's page: once, and truly."""

from __future__ import annotations

import itertools
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import Slot
from db.quarantine import clear, quarantine
from db.workers import note_slot
from labpool.catalog import Catalog
from tests.support.gpu_slots import slots
from tests.support.pool import person
from tests.support.slots import (
    behaving,
    running_pool,
    settings_for,
    submit,
    wait_for_end,
    wait_until,
)
from worker.fitness import Fitness
from worker.out_of_memory import KillCounters

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_another_amount_is_no_news(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr("worker.slot.LOOK_AGAIN_S", 0.02)
    free = itertools.count(500, -1)
    looks = []

    def usage(_: object) -> SimpleNamespace:
        looks.append(next(free))
        return SimpleNamespace(free=looks[-1] * 2**20)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    told: list[str | None] = []

    def note(session: Session, slot_id: int, reason: str | None) -> None:
        told.append(reason)
        note_slot(session, slot_id, reason)

    monkeypatch.setattr("worker.fitness.note_slot", note)
    with caplog.at_level(logging.WARNING), running_pool(settings_for(database, tmp_path)):
        wait_until(lambda: len(looks) > 10)
    assert len(told) == 1
    assert len([one for one in caplog.records if "claims nothing" in one.getMessage()]) == 1
    assert "MiB free" in str(told[0])


def test_what_still_stands_is_told_again_after_a_quarantine(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.slot.LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with running_pool(settings_for(database, tmp_path)) as pool:
        wait_until(lambda: bool(slots(database)) and slots(database)[0][1] is not None)
        with database.snapshot() as session:
            [slot_id] = [row.id for row in session.query(Slot)]
        host, device = pool.slots[0]._host, pool.slots[0].device
        # By a slot with a GPU, which alone asks whether it is out of service.
        one = Fitness(host, 0, type(device)("gpu", "", 1, device.kinds, "GPU-1"))
        one.tell(slot_id, "too little room: 1 MiB free")
        database.run(lambda session: quarantine(session, slot_id, "host", "It is broken."))
        assert one.out_of_service(slot_id) is not None
        database.run(lambda session: clear(session, f"slot-{slot_id}", person(session)))
        assert one.out_of_service(slot_id) is None
        assert slots(database)[0][1] is None
        one.tell(slot_id, "too little room: 1 MiB free")
        assert slots(database)[0][1] == "too little room: 1 MiB free"


def test_kills_before_the_trial_was_handed_out_are_not_its(
    database: Database, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_pool(settings_for(database, tmp_path)) as pool:
        wait_until(lambda: pool.slots[0]._runners.current is not None)
        runner = pool.slots[0]._runners.current
        assert runner is not None
        monkeypatch.setattr("worker.watched.read_counters", lambda: KillCounters(None, 7))
        [trial_id] = submit(database, catalog, behaving(0))
        wait_for_end(database, trial_id)
        assert runner._process.counters == KillCounters(None, 7)


def test_a_second_worker_on_the_same_processor_is_told(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings() -> list[str]:
        found = [record.getMessage() for record in caplog.records]
        return [one for one in found if "offers its processor too (slots: 1)" in one]

    with (
        caplog.at_level(logging.WARNING),
        running_pool(settings_for(database, tmp_path / "a")) as a,
    ):
        wait_until(lambda: len(slots(database)) == 1)
        changes = {"store_dir": tmp_path / "a" / "data" / "artifacts"}
        assert warnings() == []
        with running_pool(settings_for(database, tmp_path / "b", **changes)):
            wait_until(lambda: warnings() != [])
        assert a.worker_id in warnings()[0]
