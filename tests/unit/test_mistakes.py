"""What a classifier makes of its test split."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labpool.sdk import DataShape
from tests.support.png import decoded
from worker.runner import files, mistakes
from worker.runner.files import Written
from worker.runner.mistakes import Examined
from worker.wire_types import SUMMARY_LIMIT_BYTES

Y = np.array([0, 1, 2, 2, 1])
LOGITS = np.log(
    [[0.9, 0.05, 0.05], [0.6, 0.3, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]]
)


class Told:
    """Stands for the report to the slot."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def artifact(self, written: Written, name: str, media_type: str) -> None:
        assert written.name == name
        self.files[name] = media_type


def test_it_works() -> None:
    found = Examined.of(Y, LOGITS)
    assert found.confusion.tolist() == [[1, 0, 0], [1, 0, 1], [1, 0, 1]]
    assert found.wrong == 3
    assert [(one.place, one.true, one.given) for one in found.mistakes] == [
        (2, 2, 0), (1, 1, 0), (4, 1, 2),
    ]  # fmt: skip
    assert [one.probability for one in found.mistakes] == pytest.approx([0.7, 0.6, 0.6])


def test_probabilities_are_taken_as_they_are() -> None:
    found = Examined.of(Y, np.exp(LOGITS)).mistakes
    assert [one.probability for one in found] == pytest.approx([0.7, 0.6, 0.6])


def test_large_logits_do_not_overflow() -> None:
    [worst] = Examined.of(np.array([0]), np.array([[1e4, 2e4]], np.float32)).mistakes
    assert worst.probability == 1.0


def test_equal_mistakes_come_in_the_order_of_the_split() -> None:
    count = mistakes.MOST_MISTAKES + 5
    found = Examined.of(np.zeros(count, np.int64), np.tile([0.0, 1.0], (count, 1)))
    assert [one.place for one in found.mistakes] == list(range(mistakes.MOST_MISTAKES))
    assert found.wrong == count


@pytest.mark.parametrize(
    ("output_shape", "names", "is_one"),
    [
        ((None, 3), ("accuracy",), True),
        ((None, 3), ("accuracy", "distance"), True),
        ((None, 4), ("accuracy",), False),
        ((None, 8, 8, 3), ("accuracy",), False),
        ((None, 3), ("iou",), False),
        (None, ("accuracy",), False),
        ([(None, 3), (None, 4)], ("accuracy",), False),
    ],
)
def test_only_a_classifier_is_examined(
    output_shape: Any, names: tuple[str, ...], is_one: bool
) -> None:
    model = SimpleNamespace(output_shape=output_shape)
    assert mistakes.classifies(model, DataShape("vector", (2,), 3), names) is is_one


def published(x: Any, folder: Path, told: Told) -> Any:
    found = mistakes.publish(Examined.of(Y, LOGITS), x, 7, folder, told)  # type: ignore[arg-type]
    return found["examined"]


def test_the_files_of_pictures(tmp_path: Path) -> None:
    x = np.linspace(0, 1, 5 * 16, dtype=np.float32).reshape(5, 4, 4, 1)
    told = Told()
    summary = published(x, tmp_path, told)

    assert told.files == {
        "confusion.json": "application/json",
        "mistakes.npz": "application/octet-stream",
        "mistakes.png": "image/png",
    }
    matrix = json.loads((tmp_path / "confusion.json").read_text())
    assert matrix["matrix"] == summary["confusion"] == [[1, 0, 0], [1, 0, 1], [1, 0, 1]]
    assert (matrix["split"], matrix["best_epoch"]) == ("test", 7)
    with np.load(tmp_path / "mistakes.npz", allow_pickle=False) as file:
        assert np.array_equal(file["x"], x[[2, 1, 4]])
        assert file["true"].tolist() == [2, 1, 1] and file["given"].tolist() == [0, 0, 2]
        assert file["place"].tolist() == [2, 1, 4]
    sheet, picture = summary["sheet"], decoded((tmp_path / "mistakes.png").read_bytes())
    assert picture.shape == (*sheet["size"], 1)
    for number, place in enumerate((2, 1, 4)):
        row, column = divmod(number, sheet["columns"])
        top, left = row * sheet["step"][0], column * sheet["step"][1]
        tile = picture[top : top + sheet["tile"][0], left : left + sheet["tile"][1], 0]
        zoom = sheet["tile"][0] // 4
        assert np.array_equal(tile[::zoom, ::zoom], np.rint(x[place, :, :, 0] * 255))


def test_the_files_of_numbers(tmp_path: Path) -> None:
    told = Told()
    x = np.arange(60, dtype=np.float32).reshape(5, 12)
    summary = published(x, tmp_path, told)
    assert sorted(told.files) == ["confusion.json", "mistakes.npz"]
    assert summary["mistakes"][0] == {
        "place": 2, "true": 2, "given": 0, "probability": 0.7,
        "x": [24.0, 25.0, 26.0, 27.0, 28.0, 29.0, 30.0, 31.0],
    }  # fmt: skip
    assert "sheet" not in summary


def test_a_classifier_without_mistakes_has_a_matrix_only(tmp_path: Path) -> None:
    told, found = Told(), Examined.of(np.array([0, 1]), np.eye(2))
    summary = mistakes.publish(found, np.zeros((2, 4, 4, 1)), 1, tmp_path, told)  # type: ignore[arg-type]
    assert list(told.files) == ["confusion.json"]
    assert summary["examined"] == {
        "wrong": 0, "tested": 2, "confusion": [[1, 0], [0, 1]], "mistakes": [],
    }  # fmt: skip


@pytest.mark.parametrize("classes", [32, 33, 1000])
def test_a_summary_is_small_whatever_the_data_are(classes: int) -> None:
    draw = np.random.default_rng(0)
    y, logits = draw.integers(0, classes, 5000), draw.standard_normal((5000, classes))
    examined = Examined.of(y, logits)
    for x in (np.ones((5000, 9999), np.float32) / 3, np.zeros((5000, 1, 1, 1), np.float32)):
        told = mistakes.summary(examined, x)
        assert ("confusion" in told["examined"]) is (classes <= 32)  # type: ignore[operator]
        assert len(json.dumps(told)) < SUMMARY_LIMIT_BYTES / 2


def test_pictures_too_large_for_one_sheet_are_told_as_far_as_they_fit(tmp_path: Path) -> None:
    count = 5
    examined = Examined.of(np.zeros(count, np.int64), np.tile([0.0, 1.0], (count, 1)))
    x = np.zeros((count, 500, 700, 3), np.float32)
    told = Told()
    summary: Any = mistakes.publish(examined, x, 1, tmp_path, told)["examined"]  # type: ignore[arg-type]
    assert summary["sheet"]["shown"] == 2 and len(summary["mistakes"]) == count
    assert decoded((tmp_path / "mistakes.png").read_bytes()).shape == (1001, 700, 3)


def test_a_full_disk_costs_the_files_and_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_whole", full)
    told = Told()
    summary = published(np.zeros((5, 2), np.float32), tmp_path, told)
    assert told.files == {} and summary["wrong"] == 3
    assert list(tmp_path.iterdir()) == []
    assert "no confusion.json: [Errno 28]" in capsys.readouterr().err
