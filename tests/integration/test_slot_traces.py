"""Two slots of a worker: a trial goes to the one whose runner has traced its network."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from db.engine import Database
from db.states import TrialState
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support import fake_runner
from tests.support.fake_runner import seed_of
from tests.support.slot_acts import cancel
from tests.support.slots import (
    DEVICE,
    attempts,
    behaving,
    running_pool,
    settings_for,
    submit,
    wait_for_end,
    wait_for_state,
    wait_until,
)
from worker import resting
from worker.pool import SlotPool
from worker.resting import Resting

ROUNDS = 4
NEVER_S = 3600.0
WELL, GOES_ON = behaving(seed_of(fake_runner.well)), behaving(seed_of(fake_runner.goes_on))


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    """Slots look when they are rung, and not by themselves."""
    return settings_for(database, tmp_path, poll_s=NEVER_S)


def slot_of(database: Database, trial_id: int) -> int:
    [attempt] = attempts(database, trial_id)
    assert attempt.environment is not None
    return int(attempt.environment["slot"])


def at_rest(pool: SlotPool, traced: tuple[int, ...]) -> None:
    """Wait until both slots rest, and these alone have traced something."""

    def there() -> bool:
        seats = [slot._seat for slot in pool.slots]
        noted = seats[0]._resting._traced
        return [bool(noted.get(seat)) for seat in seats if seat in noted] == [
            number in traced for number in range(2)
        ]

    wait_until(there, "both slots at rest")


def train_on(database: Database, catalog: Catalog, pool: SlotPool, number: int) -> None:
    """Have a slot train alone, the other not knowing of it."""
    at_rest(pool, ())
    [first] = submit(database, catalog, WELL)
    pool.slots[number].ring()
    wait_for_end(database, first)
    assert slot_of(database, first) == number
    at_rest(pool, (number,))


def test_the_second_of_an_architecture_goes_to_the_slot_that_has_it(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow this machine is: who leaves it waits until the other has it, and no longer.
    monkeypatch.setattr(resting, "LEAVE_S", NEVER_S)
    with running_pool(settings, devices=(DEVICE, DEVICE)) as pool:
        train_on(database, catalog, pool, 1)
        for round_number in range(ROUNDS):
            [again] = submit(database, catalog, {**WELL, "learning_rate": 0.01 + round_number})
            # The one without the trace hears of it first.
            pool.slots[0].ring()
            time.sleep(0.1)
            pool.slots[1].ring()
            wait_for_end(database, again)
            assert slot_of(database, again) == 1
            at_rest(pool, (1,))


def test_nothing_waits_for_a_slot_that_is_busy(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resting, "LEAVE_S", NEVER_S)
    with running_pool(settings, devices=(DEVICE, DEVICE)) as pool:
        train_on(database, catalog, pool, 1)
        [long] = submit(database, catalog, GOES_ON)
        pool.slots[1].ring()
        wait_for_state(database, long, TrialState.RUNNING)
        [next_one] = submit(database, catalog, WELL)
        pool.slots[0].ring()
        wait_for_end(database, next_one)
        assert slot_of(database, next_one) == 0
        cancel(database, long)
        pool.ring()
        wait_for_end(database, long)


def test_a_slot_that_does_not_come_is_waited_for_once_and_briefly(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    await_rise = Resting.await_rise

    def timed(self: Resting, *arguments: object) -> None:
        began_s = time.monotonic()
        await_rise(self, *arguments)  # type: ignore[arg-type]
        waits.append(time.monotonic() - began_s)

    monkeypatch.setattr(Resting, "await_rise", timed)
    with running_pool(settings, devices=(DEVICE, DEVICE)) as pool:
        train_on(database, catalog, pool, 1)
        trials = [submit(database, catalog, WELL)[0] for _ in range(3)]
        # Nobody tells the other: it rests on.
        pool.slots[0].ring()
        wait_for_end(database, *trials)
        assert [slot_of(database, trial_id) for trial_id in trials] == [0, 0, 0]
    assert len(waits) == 1
    assert waits[0] + 0.001 >= resting.LEAVE_S


def test_a_slot_leaves_nothing_to_another_kind_of_device() -> None:
    pool = Resting()
    here, like, other = pool.seat("cpu"), pool.seat("cpu"), pool.seat("gpu")
    like.rest(["a"])
    other.rest(["b"])
    here.rest(["c"])
    assert here.elsewhere() == {"a"}
    assert other.elsewhere() == set()
    like.rest(["d"])
    assert here.elsewhere() == {"d"}
    like.rise()
    assert here.elsewhere() == set()
