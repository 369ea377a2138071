"""A trained model asked through a real worker's predictor and its real runner."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from db import questions
from db.engine import Database
from db.models import Lease, Prediction, Trial
from db.reads import predictions as reads
from db.states import PredictionState, TrialState
from labpool.catalog import Catalog
from tests.support.images import black_on_white, grey_png, jpeg
from tests.support.pool import person
from tests.support.slots import running_pool, settings_for, submit, wait_for_end, wait_until
from worker.pool import SlotPool
from worker.process import COMMAND

LIMITS = questions.Limits(limit_s=120.0, most_open=100, most_a_minute=1000)
SPEC = {"kind": "train", "model": "softmax", "dataset": "digits", "epochs": 12}


class Asking:
    """A trained trial in a pool that runs, and who asks it."""

    def __init__(self, database: Database, pool: SlotPool, trial_id: int) -> None:
        self.database = database
        self.pool = pool
        self.trial_id = trial_id

    def ask(self, form: str, data: bytes, **options: Any) -> Prediction:
        """The question once it has ended."""
        with self.database.transaction() as session:
            trial = session.get_one(Trial, self.trial_id)
            user_id = person(session).id
            asked = questions.ask(session, trial, user_id, form, data, options, LIMITS).id
        self.pool.ring()
        wait_until(lambda: not reads.is_open(self.row(asked)), "an answer")
        return self.row(asked)

    def row(self, number: int) -> Prediction:
        with self.database.snapshot() as session:
            found = reads.find(session, self.trial_id, number)
            assert found is not None
            _ = found.outputs
            return found

    def probabilities(self, form: str, data: bytes, **options: Any) -> np.ndarray[Any, Any]:
        row = self.ask(form, data, **options)
        assert row.state is PredictionState.DONE, row.reason
        assert row.arrays is not None and row.outputs is not None
        [array] = row.arrays
        assert array["name"] == "probabilities"
        return np.frombuffer(row.outputs, "<f4").reshape(array["shape"])

    def refused(self, form: str, data: bytes) -> str:
        row = self.ask(form, data)
        assert (row.state, row.reason_kind) == (PredictionState.FAILED, "user_error"), row.reason
        return row.reason or ""


@pytest.fixture(scope="module")
def asking(
    sqlite_template: Path, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asking]:
    folder = tmp_path_factory.mktemp("predicting")
    path = folder / "labpool.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}")
    [trial_id] = submit(database, catalog, SPEC)
    settings = settings_for(database, folder, standby=False)
    with running_pool(settings, COMMAND) as pool:
        [done] = wait_for_end(database, trial_id)
        assert done.state is TrialState.SUCCEEDED, done.reason
        yield Asking(database, pool, trial_id)
    database.dispose()


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images.reshape(-1, 8, 8) / 16.0, labels


def test_it_works(asking: Asking, digits: tuple[Any, Any]) -> None:
    images, labels = digits
    found = asking.probabilities("numbers", json.dumps(images[:300].tolist()).encode())
    assert found.shape == (300, 10)
    assert np.allclose(found.sum(axis=1), 1.0, atol=1e-5)
    assert (found.argmax(axis=1) == labels[:300]).mean() > 0.9
    with asking.database.snapshot() as session:
        live = select(Lease).where(Lease.ended_at.is_(None))
        assert session.scalars(live).all() == [], "no slot is taken for it"


def test_the_second_answer_is_warm(asking: Asking, digits: tuple[Any, Any]) -> None:
    one = json.dumps(digits[0][0].tolist()).encode()
    asking.ask("numbers", one)
    row = asking.ask("numbers", one)
    assert row.about["model_was_loaded"] is True
    assert row.finished_at is not None and row.started_at is not None
    assert row.finished_at - row.started_at < 1.0


def test_every_form_gives_the_same_answer(asking: Asking, digits: tuple[Any, Any]) -> None:
    images = np.round(digits[0][:20] * 255).astype(np.uint8)
    floats = (images / 255).astype(np.float32)
    wanted = asking.probabilities("numbers", json.dumps(floats.tolist()).encode())
    rows = "\n".join(",".join(map(str, row)) for row in floats.reshape(20, -1).tolist())
    forms = {
        "csv": rows.encode(),
        "idx": b"\x00\x00\x08\x03" + struct.pack(">3I", 20, 8, 8) + images.tobytes(),
        "npy": _saved(lambda file: np.save(file, floats)),
        "npz": _saved(lambda file: np.savez_compressed(file, x=images[..., None])),
    }
    for form, data in forms.items():
        found = asking.probabilities(form, data)
        assert np.allclose(found, wanted, atol=1e-5), form
    for number in range(5):
        found = asking.probabilities("png", grey_png(images[number]), turn_over="no")
        assert np.allclose(found[0], wanted[number], atol=1e-5)


def _saved(save: Any) -> bytes:
    import io

    file = io.BytesIO()
    save(file)
    return file.getvalue()


def test_black_ink_on_white_paper_is_read(asking: Asking, digits: tuple[Any, Any]) -> None:
    images, labels = digits
    plain = asking.probabilities("numbers", json.dumps(images[:40].tolist()).encode())
    hits = {"as it is": int((plain.argmax(axis=1) == labels[:40]).sum())}
    for name, make in {"png": grey_png, "jpeg": jpeg}.items():
        drawn = [black_on_white(image, side=280, margin=60) for image in images[:40]]
        found = [asking.probabilities(name, make(picture))[0].argmax() for picture in drawn]
        hits[name] = int((np.array(found) == labels[:40]).sum())
    print("of 40 digits read right:", hits)
    assert min(hits.values()) >= 34, hits


def test_what_was_done_is_told(asking: Asking, digits: tuple[Any, Any]) -> None:
    row = asking.ask("png", grey_png(black_on_white(digits[0][0], side=100, margin=10)))
    assert row.about["turned_over"] is True
    assert row.about["cut_to_ink"] is True
    assert row.about["seen"]["shape"] == [8, 8, 1]
    assert max(row.about["seen"]["pixels"]) > 200
    own = asking.ask("png", grey_png(np.round(digits[0][0] * 255).astype(np.uint8)))
    assert (own.about["turned_over"], own.about["cut_to_ink"]) == (False, False)


@pytest.mark.parametrize(
    ("form", "data", "words"),
    [
        ("numbers", b"[[1, 2, 3]]", "It holds 1 x 3; an example of this model's data is 8 x 8 x 1"),
        ("numbers", json.dumps([9.0] * 64).encode(), "pixels of pictures are numbers in 0..1"),
        ("csv", b"1,2\n3", "line 2 has 1 numbers"),
        ("csv", ("nan," * 63 + "nan").encode(), "Example 1 holds a number that is not finite"),
        ("png", b"\x89PNG\r\n\x1a\n" + bytes(4) + b"IHDR" + struct.pack(">II", 50_000, 50_000),
         "50,000 x 50,000 pixels"),
        ("png", grey_png(np.zeros((50, 50), np.uint8))[:-40], "cut off or damaged"),
        ("npz", b"PK\x03\x04 no archive", "cannot be unpacked"),
        ("idx", b"\x00\x00\x08\x03" + struct.pack(">3I", 2**31, 2**31, 4), "it holds 0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_the_runner_stays(
    asking: Asking, form: str, data: bytes, words: str
) -> None:
    assert words in asking.refused(form, data)
    row = asking.ask("numbers", json.dumps([0.0] * 64).encode())
    assert row.state is PredictionState.DONE
    assert row.about["model_was_loaded"] is True, "the same process answers on"


def test_a_killed_runner_is_followed_by_another(asking: Asking) -> None:
    zeros = json.dumps([0.0] * 64).encode()
    asking.ask("numbers", zeros)
    predictor = asking.pool._predictor
    assert predictor._runner is not None
    before = predictor._runner.pid
    predictor._runner.kill()
    row = asking.ask("numbers", zeros)
    assert row.state is PredictionState.DONE, row.reason
    assert predictor._runner is not None and predictor._runner.pid != before
