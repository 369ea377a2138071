"""A worker's predictor and a runner that misbehaves, on SQLite and Postgres: all ends in time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from db import claims, findings, questions
from db.artifacts import FolderStore
from db.engine import Database
from db.models import Prediction, Trial
from db.reads import predictions as reads
from db.states import PredictionState
from labpool.catalog import Catalog
from labpool.settings import CHECKOUT, Settings
from tests.support.pool import person, slot, submitted
from tests.support.slots import running_pool, settings_for, wait_until
from worker import answering
from worker.pool import SlotPool
from worker.predictor import MEMORY_LIMIT_MB
from worker.process_group import start_ticks
from worker.watched import WatchedRunner

FAKE = (sys.executable, str(CHECKOUT / "tests" / "support" / "fake_answers.py"))
LIMITS = questions.Limits(limit_s=120.0, most_open=100, most_a_minute=1000)


class Asking:
    """A trial with a checkpoint in the store, and who asks it."""

    def __init__(self, database: Database, catalog: Catalog, folder: Path) -> None:
        self.database = database
        # With standbys it is a race whether one is there for the first question.
        self.settings = settings_for(database, folder, standby=False)
        content = folder / "weights"
        content.write_bytes(b"weights")
        with database.transaction() as session:
            owner = person(session)
            self.user_id = owner.id
            [self.trial_id] = submitted(session, catalog, owner)
            claim = claims.claim(session, slot(session, catalog, host=_host()), 3600.0)
            assert claim is not None
            fence = claim.trials[0].fence
            store = FolderStore(self.settings.artifacts_dir)
            self.key = f"trials/{self.trial_id}/{fence}/epoch-1.npz"
            store.put(self.key, content)
            from hashlib import sha256

            digest = sha256(b"weights").hexdigest()
            record = findings.CheckpointRecord(1, self.key, digest, 7, 0.9, True)
            findings.record_checkpoint(session, self.trial_id, fence, record)
            # The worker that this stands for has another store's name.
            from db.models import PoolSetting

            row = session.get_one(PoolSetting, "artifact_store_id")
            row.value = store.store_id

    @contextmanager
    def pool(self, settings: Settings | None = None) -> Iterator[SlotPool]:
        with running_pool(settings or self.settings, FAKE) as pool:
            yield pool

    def ask(self, word: str, limits: questions.Limits = LIMITS) -> int:
        with self.database.transaction() as session:
            trial = session.get_one(Trial, self.trial_id)
            asked = questions.ask(
                session, trial, self.user_id, "numbers", word.encode(), {}, limits
            )
            return asked.id

    def row(self, number: int) -> Prediction:
        with self.database.snapshot() as session:
            found = reads.find(session, self.trial_id, number)
            assert found is not None
            return found

    def ended(self, number: int) -> Prediction:
        wait_until(lambda: not reads.is_open(self.row(number)), f"an end of {number}")
        return self.row(number)

    def answer(self, word: str) -> Prediction:
        return self.ended(self.ask(word))


def _host() -> str:
    import socket

    return socket.gethostname()


@pytest.fixture
def asking(database: Database, catalog: Catalog, tmp_path: Path) -> Asking:
    return Asking(database, catalog, tmp_path)


def test_it_works(asking: Asking) -> None:
    with asking.pool() as pool:
        first, second = asking.answer("well"), asking.answer("well")
        assert (first.state, second.state) == (PredictionState.DONE,) * 2, first.reason
        assert first.about == second.about, "one process answers both"
        folder = pool._predictor._folder
        assert [path.name for path in folder.glob("*-*.*")] == ["home-1.log"]
        assert len(list((folder / "checkpoints").iterdir())) == 1
    assert start_ticks(first.about["pid"]) is None, "it ends with its worker"


def standby_of(pool: SlotPool) -> WatchedRunner:
    """The slot's, once its imports are done."""
    runners = pool.slots[0]._runners
    wait_until(lambda: (one := runners._standby) is not None and one.is_ready, "a standby")
    assert runners._standby is not None
    return runners._standby


def test_a_slots_standby_answers_and_the_slot_makes_another(asking: Asking) -> None:
    settings = asking.settings.model_copy(
        update={"standby": True, "poll_s": 0.1, "predictor_idle_s": 1.0}
    )
    with asking.pool(settings) as pool:
        lent = standby_of(pool)
        first, second = asking.answer("well"), asking.answer("well")
        assert first.about == second.about == {"pid": lent.pid}
        assert lent.guards.memory_limit_mb == MEMORY_LIMIT_MB
        other = standby_of(pool)
        current = pool.slots[0]._runners.current
        assert current is not None
        assert len({one.pid for one in (lent, other, current)}) == 3
        assert len({one.home for one in (lent, other, current)}) == 3
        assert pool._lend() is None, "one at a time"
        wait_until(lambda: not lent.is_alive, "the end of an idle runner")
        assert asking.answer("well").about == {"pid": other.pid}
        # A slot's runner that is replaced has no home of anybody's else.
        crowd = standby_of(pool), other, pool.slots[0]._runners.current
        assert len({one.home for one in crowd if one is not None}) == 3
        number = asking.ask("hang")
        wait_until(lambda: asking.row(number).state is PredictionState.RUNNING)
    row = asking.row(number)
    assert (row.state, row.reason) == (PredictionState.WAITING, "Its worker was shut down.")
    assert start_ticks(other.pid) is None, "it ends with its worker"


def test_a_standby_that_fails_leaves_the_slot_alone(asking: Asking) -> None:
    settings = asking.settings.model_copy(update={"standby": True, "poll_s": 0.1})
    with asking.pool(settings) as pool:
        lent = standby_of(pool)
        current = pool.slots[0]._runners.current
        assert asking.answer("killed").reason_kind == "killed"
        assert not lent.is_alive
        assert pool.slots[0]._runners.current is current
        assert current is not None and current.is_alive
        assert asking.answer("well").state is PredictionState.DONE


def test_every_bad_end_is_told_and_the_next_is_answered(asking: Asking) -> None:
    expected = {
        "exit": ("crashed", "exited with status 3"),
        "killed": ("killed", "SIGKILL from outside"),
        "babble": ("internal", "broke the protocol"),
        "lie about the digest": ("internal", "does not have the sha256"),
        "lie about the size": ("internal", "not of its own size"),
        "announce a link": ("internal", "answer-"),
        "refuse": ("user_error", "It does not fit."),
    }
    with asking.pool():
        for word, (kind, words) in expected.items():
            row = asking.answer(word)
            found = (word, row.state, row.reason_kind, row.reason)
            assert row.state is PredictionState.FAILED, found
            assert row.reason_kind == kind, found
            assert words in (row.reason or ""), found
        for word in ("exit once", "speak of another", "well"):
            row = asking.answer(word)
            assert row.state is PredictionState.DONE, (word, row.reason)


def test_a_hang_ends_within_its_bound(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "TRY_LIMIT_S", 1.0)
    with asking.pool():
        row = asking.answer("hang")
        assert (row.state, row.reason_kind, row.fence) == (PredictionState.FAILED, "stalled", 2)
        assert "did not answer within 1 s" in (row.reason or "")
        assert asking.answer("well").state is PredictionState.DONE


def test_the_deadline_is_the_last_word(asking: Asking) -> None:
    with asking.pool():
        asking.answer("well")
        number = asking.ask("hang", questions.Limits(2.0, 100, 1000))
        row = asking.ended(number)
        assert row.state is PredictionState.FAILED
        assert row.finished_at is not None
        assert row.finished_at - row.created_at < 20


def test_busy_slots_and_heartbeats(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "BEAT_S", 0.2)
    monkeypatch.setattr(answering, "LEASE_S", 1.0)
    monkeypatch.setattr("worker.predictor.LEASE_S", 1.0)
    with asking.pool():
        row = asking.answer("slow")
        assert (row.state, row.fence) == (PredictionState.DONE, 1), "beats kept it"


def test_a_stopped_worker_gives_its_question_back(asking: Asking) -> None:
    with asking.pool():
        asking.answer("well")
        number = asking.ask("hang")
        wait_until(lambda: asking.row(number).state is PredictionState.RUNNING)
    row = asking.row(number)
    assert (row.state, row.reason) == (PredictionState.WAITING, "Its worker was shut down.")


def test_it_ends_when_nobody_asks(asking: Asking) -> None:
    settings = asking.settings.model_copy(update={"predictor_idle_s": 0.5})
    with asking.pool(settings) as pool:
        assert pool._predictor._runner is None, "nothing is started before the first question"
        first = asking.answer("well")
        wait_until(lambda: pool._predictor._runner is None, "the end of an idle runner")
        again = asking.answer("well")
        assert first.about["pid"] != again.about["pid"]


def test_a_checkpoint_that_is_gone(asking: Asking) -> None:
    FolderStore(asking.settings.artifacts_dir).delete(asking.key)
    with asking.pool():
        row = asking.answer("well")
    assert (row.state, row.reason_kind) == (PredictionState.FAILED, "no_checkpoint")
    assert "damaged or gone" in (row.reason or "")


def test_the_database_may_be_away(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import OperationalError

    with asking.pool() as pool:
        asking.answer("well")
        away = {"is": True}
        work: Callable[..., Any] = asking.database.run
        database = pool._database
        monkeypatch.setattr(
            database, "run", lambda todo, attempts=8: _away() if away["is"] else work(todo)
        )

        def _away() -> None:
            raise OperationalError("x", {}, Exception("away"))

        number = asking.ask("well")
        away["is"] = False
        assert asking.ended(number).state is PredictionState.DONE
