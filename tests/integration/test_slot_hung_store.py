"""A slot whose artifact store takes what it is given and never answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from db.artifacts import FolderStore
from db.engine import Database
from db.states import Outcome, TrialState
from labpool.catalog import Catalog
from tests.support import fake_runner
from tests.support.fake_runner import seed_of
from tests.support.gpu_slots import slots
from tests.support.slots import (
    ask,
    attempts,
    behaving,
    running_pool,
    settings_for,
    submit,
    trial,
    wait_for_end,
    wait_for_state,
    wait_until,
)

# The slot's own doing: the database has no part in it.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class HungStore:
    """Lets the calls of one method hang that it is told to, until the test is over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.over = threading.Event()
        self._monkeypatch = monkeypatch

    def hang(self, method: str, when: Callable[..., bool]) -> None:
        real: Callable[..., Any] = getattr(FolderStore, method)

        def hanging(store: FolderStore, *arguments: Any) -> Any:
            if when(*arguments) and not self.over.is_set():
                self.asked += 1
                self.over.wait()
            return real(store, *arguments)

        self._monkeypatch.setattr(FolderStore, method, hanging)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[HungStore]:
    hung = HungStore(monkeypatch)
    yield hung
    hung.over.set()


def is_checkpoint(key: str, _: Path) -> bool:
    return key.endswith(".npz")


def test_a_cancel_ends_a_trial_whose_checkpoint_hangs(
    database: Database, catalog: Catalog, tmp_path: Path, store: HungStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("worker.patience.LIMIT_IN_A_HURRY_S", 0.2)
    store.hang("put", is_checkpoint)
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
    with running_pool(settings_for(database, tmp_path)):
        wait_until(lambda: store.asked > 0)
        ask(database, "cancel", trial_id)
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.CANCELLED


def test_a_runner_past_its_time_limit_is_not_waited_for(
    database: Database, catalog: Catalog, tmp_path: Path, store: HungStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("worker.patience.LIMIT_IN_A_HURRY_S", 0.2)
    store.hang("put", is_checkpoint)
    seed = seed_of(fake_runner.well)
    [trial_id] = submit(database, catalog, behaving(seed, time_limit_s=1))
    with running_pool(settings_for(database, tmp_path)):
        wait_until(lambda: store.asked > 0)
        wait_until(lambda: attempts(database, trial_id)[0].outcome is not None)
    assert trial(database, trial_id).state is not TrialState.RUNNING


def test_in_the_end_the_trial_is_given_back(
    database: Database, catalog: Catalog, tmp_path: Path, store: HungStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("worker.patience.LIMIT_S", 1.0)
    store.hang("put", is_checkpoint)
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
    with running_pool(settings_for(database, tmp_path)):
        wait_until(lambda: store.asked > 0)
        released = wait_for_state(database, trial_id, TrialState.QUEUED)
    [attempt] = attempts(database, trial_id)
    assert (attempt.outcome, attempt.reason_kind) == (Outcome.RELEASED, "disk_full")
    assert "the artifact store does not answer" in (released.reason or "")
    assert released.losses == 0


def test_a_stopping_worker_gives_its_trial_back(
    database: Database, catalog: Catalog, tmp_path: Path, store: HungStore
) -> None:
    store.hang("put", is_checkpoint)
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
    with running_pool(settings_for(database, tmp_path, drain_grace_s=0.5)):
        wait_until(lambda: store.asked > 0)
    [attempt] = attempts(database, trial_id)
    assert attempt.outcome is Outcome.RELEASED
    assert trial(database, trial_id).losses == 0


def test_a_checkpoint_that_cannot_be_fetched_gives_the_trial_back(
    database: Database, catalog: Catalog, tmp_path: Path, store: HungStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.goes_on)))
    with running_pool(settings_for(database, tmp_path)):
        wait_until(lambda: (trial(database, trial_id).progress_done or 0) > 1)
    monkeypatch.setattr("worker.patience.LIMIT_S", 0.5)
    store.hang("get", lambda key: key.endswith(".npz"))
    with running_pool(settings_for(database, tmp_path)):
        wait_until(lambda: len(attempts(database, trial_id)) == 2)
        wait_until(lambda: attempts(database, trial_id)[1].outcome is not None)
    assert attempts(database, trial_id)[1].reason_kind == "not_prepared"
    assert "did not answer" in (trial(database, trial_id).reason or "")


def test_a_slot_that_looks_at_it_says_so(
    database: Database, catalog: Catalog, tmp_path: Path, store: HungStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("worker.fitness.LOOK_LIMIT_S", 0.1)
    monkeypatch.setattr("worker.slot.LOOK_AGAIN_S", 0.1)
    store.hang("check", lambda: True)
    [trial_id] = submit(database, catalog, behaving(0))
    with running_pool(settings_for(database, tmp_path)) as pool:
        wait_until(lambda: bool(slots(database)) and slots(database)[0][1] is not None)
        assert "does not answer" in (slots(database)[0][1] or "")
        for _ in range(5):
            pool.ring()
        assert attempts(database, trial_id) == []
        # No thread is sent after the one that hangs.
        assert store.asked == 1
        store.over.set()
        wait_for_end(database, trial_id)
