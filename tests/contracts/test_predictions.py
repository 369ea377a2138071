"""Questions to trained models, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from db import findings, predictions, questions, workers
from db.claims import SlotIdentity, claim
from db.engine import Database
from db.errors import FencedOff, NotPossible, TooManyQuestions
from db.models import Prediction, Trial, Worker
from db.predictions import ClaimedPrediction
from db.reads import predictions as reads
from db.states import PredictionState
from labpool.catalog import Catalog
from tests.support.pool import person, slot, step_clock, submitted

LIMITS = questions.Limits(limit_s=120.0, most_open=3, most_a_minute=5)
LEASE_S = 20.0


class Lab:
    """A trial with a best checkpoint, one of its workers, and somebody who asks."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self.database = database
        self.catalog = catalog
        with database.transaction() as session:
            owner = person(session)
            self.user_id = owner.id
            [self.trial_id] = submitted(session, catalog, owner)
            self.slot = slot(session, catalog)
            claimed = claim(session, self.slot, 90.0)
            assert claimed is not None
            [taken] = claimed.trials
            self.fence = taken.fence

    def checkpoint(self, epoch: int = 1, best: bool = True) -> None:
        key = f"trials/{self.trial_id}/{self.fence}/epoch-{epoch}.npz"
        record = findings.CheckpointRecord(epoch, key, f"{epoch:064d}", 10, 0.9, best)
        with self.database.transaction() as session:
            findings.record_checkpoint(session, self.trial_id, self.fence, record)

    def ask(self, data: bytes = b"[1]", limits: questions.Limits = LIMITS) -> int:
        with self.database.transaction() as session:
            trial = session.get_one(Trial, self.trial_id)
            asked = questions.ask(session, trial, self.user_id, "numbers", data, {"a": 1}, limits)
            return asked.id

    def claim(self, by: SlotIdentity | None = None) -> ClaimedPrediction | None:
        one = by or self.slot
        with self.database.transaction() as session:
            return predictions.claim(
                session, one.worker_id, one.code_digests, one.data_digests, LEASE_S
            )

    def claimed(self, by: SlotIdentity | None = None) -> ClaimedPrediction:
        found = self.claim(by)
        assert found is not None
        return found

    def another(self, **more: Any) -> SlotIdentity:
        with self.database.transaction() as session:
            return slot(session, self.catalog, **more)

    def row(self, prediction_id: int) -> Prediction:
        with self.database.snapshot() as session:
            found = reads.find(session, self.trial_id, prediction_id)
            assert found is not None
            _ = found.outputs
            return found

    def waits_for(self, prediction_id: int) -> str:
        with self.database.snapshot() as session:
            return reads.waits_for(session, session.get_one(Prediction, prediction_id))


@pytest.fixture
def lab(database: Database, catalog: Catalog) -> Lab:
    lab = Lab(database, catalog)
    lab.checkpoint()
    return lab


def test_it_works(lab: Lab) -> None:
    number = lab.ask(b"[0.5, 1]")
    assert lab.row(number).state is PredictionState.WAITING
    taken = lab.claimed()
    assert (taken.prediction_id, taken.fence, taken.input) == (number, 1, b"[0.5, 1]")
    assert taken.checkpoint.epoch == 1
    assert taken.options == {"a": 1}
    assert 100 < taken.left_s <= 120
    assert lab.claim() is None, "it is taken"
    assert lab.waits_for(number) == "A worker is at work on it."
    arrays = [{"name": "probabilities", "shape": [1, 2]}]
    with lab.database.transaction() as session:
        predictions.answer(session, number, 1, arrays, b"12345678", {"note": "a\0b"})
    row = lab.row(number)
    assert (row.state, row.outputs, row.arrays, row.epoch) == (
        PredictionState.DONE, b"12345678", arrays, 1,
    )  # fmt: skip
    assert row.about == {"note": "a�b"}
    with lab.database.snapshot() as session:
        kept = session.scalar(select(Prediction.input).where(Prediction.id == number))
        assert kept == b"", "what was sent is not kept longer than it is needed"
        assert not predictions.has_open(session)


def test_without_a_best_checkpoint_nothing_is_asked(database: Database, catalog: Catalog) -> None:
    lab = Lab(database, catalog)
    with pytest.raises(NotPossible, match="has no best checkpoint"):
        lab.ask()
    lab.checkpoint(best=False)
    with pytest.raises(NotPossible, match="has no best checkpoint"):
        lab.ask()
    with database.transaction() as session:
        spec = {"kind": "benchmark", "kernel": "dense_relu", "device": "cpu"}
        [benchmark] = submitted(session, catalog, person(session), spec)
        with pytest.raises(NotPossible, match="benchmark"):
            questions.ask(
                session, session.get_one(Trial, benchmark), lab.user_id, "numbers", b"[]", {},
                LIMITS,
            )  # fmt: skip


def test_limits_are_a_users(lab: Lab) -> None:
    for _ in range(3):
        lab.ask()
    with pytest.raises(TooManyQuestions, match="3 of your predictions"):
        lab.ask()
    with lab.database.transaction() as session:
        other = person(session, "grace").id
    lab.user_id, mine = other, lab.user_id
    lab.ask()
    lab.user_id = mine
    for _ in range(3):
        taken = lab.claimed()
        with lab.database.transaction() as session:
            predictions.fail(session, taken.prediction_id, taken.fence, "user_error", "no")
    lab.ask()
    lab.ask()
    with pytest.raises(TooManyQuestions, match="5 in a minute"):
        lab.ask()
    step_clock(lab.database, 61.0)
    lab.ask()


def test_a_silent_workers_question_is_anothers(lab: Lab) -> None:
    number = lab.ask()
    first = lab.claimed()
    step_clock(lab.database, LEASE_S - 5)
    with lab.database.transaction() as session:
        predictions.beat(session, number, first.fence, LEASE_S)
    step_clock(lab.database, LEASE_S - 5)
    other = lab.another()
    assert lab.claim(other) is None, "it has been beaten"
    step_clock(lab.database, 6)
    second = lab.claimed(other)
    assert (second.prediction_id, second.fence) == (number, 2)
    for late in (
        lambda session: predictions.answer(session, number, 1, [], b"", {}),
        lambda session: predictions.fail(session, number, 1, "x", "x"),
        lambda session: predictions.beat(session, number, 1, LEASE_S),
        lambda session: predictions.give_back(session, number, 1, "x", "x"),
    ):
        with pytest.raises(FencedOff), lab.database.transaction() as session:
            late(session)
    step_clock(lab.database, LEASE_S + 1)
    assert lab.claim(other) is None
    row = lab.row(number)
    assert (row.state, row.reason_kind) == (PredictionState.FAILED, "lost")
    assert "2 times in a row" in (row.reason or "")


def test_a_second_try_is_the_last(lab: Lab) -> None:
    number = lab.ask()
    for fence, state in ((1, PredictionState.WAITING), (2, PredictionState.FAILED)):
        taken = lab.claimed()
        assert taken.fence == fence
        with lab.database.transaction() as session:
            predictions.give_back(session, number, fence, "crashed", "It fell over.")
        assert lab.row(number).state is state
    assert lab.row(number).reason == "It fell over."


def test_nothing_waits_for_ever(lab: Lab) -> None:
    number = lab.ask()
    step_clock(lab.database, 119)
    with lab.database.transaction() as session:
        assert predictions.end_overdue(session) == 0
    # The worker has not been seen for as long.
    step_clock(lab.database, 2)
    with lab.database.transaction() as session:
        assert predictions.end_overdue(session) == 1
    row = lab.row(number)
    assert (row.state, row.reason_kind) == (PredictionState.FAILED, "timeout")
    assert row.reason == (
        "No worker answered within 120 s. No worker is connected; start one with `labpool worker`."
    )
    running = lab.ask()
    taken = lab.claimed()
    step_clock(lab.database, 121)
    with lab.database.transaction() as session:
        assert predictions.end_overdue(session) == 1
    assert "not answered within 120 s" in (lab.row(running).reason or "")
    with pytest.raises(FencedOff), lab.database.transaction() as session:
        predictions.answer(session, running, taken.fence, [], b"", {})


def test_what_it_waits_for_is_said(lab: Lab) -> None:
    number = lab.ask()
    assert lab.waits_for(number) == "A worker takes it in a moment."
    assert "1 asked before" in lab.waits_for(lab.ask())
    with lab.database.transaction() as session:
        workers.drain_worker(session, lab.slot.worker_id, True)
    assert "being drained" in lab.waits_for(number)
    assert lab.claim() is None, "a drained worker takes nothing"
    with lab.database.transaction() as session:
        workers.drain_worker(session, lab.slot.worker_id, False)
        digests = update(Worker).values(code_digests=["other"])
        session.execute(digests)
    assert "the catalog has changed" in lab.waits_for(number)
    changed = lab.another(code_digests=["other"])
    assert lab.claim(changed) is None, "it has another catalog"


def test_old_answers_go(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MOST_KEPT", 2)
    numbers = []
    for _ in range(4):
        numbers.append(lab.ask())
        taken = lab.claimed()
        with lab.database.transaction() as session:
            predictions.answer(session, taken.prediction_id, taken.fence, [], b"", {})
    with lab.database.snapshot() as session:
        assert session.scalars(select(Prediction.id).order_by(Prediction.id)).all() == numbers[2:]
    open_one = lab.ask()
    step_clock(lab.database, 100)
    with lab.database.transaction() as session:
        assert predictions.drop_old(session, 200.0) == 0
        assert predictions.drop_old(session, 50.0) == 1
    with lab.database.snapshot() as session:
        assert session.scalars(select(Prediction.id)).all() == [open_one], "it is not answered yet"


def test_two_workers_never_answer_one_question(lab: Lab) -> None:
    first, second = lab.ask(), lab.ask()
    other = lab.another()
    with lab.database.transaction() as session:
        mine = predictions.claim(
            session, lab.slot.worker_id, lab.slot.code_digests, lab.slot.data_digests, LEASE_S
        )
    theirs = lab.claimed(other)
    assert mine is not None
    assert [mine.prediction_id, theirs.prediction_id] == [first, second]
