"""What the lab course says of its numbers: reached, not reached, or not measured and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab import __main__ as lab
from tests.lab import page
from tests.lab.course import Row, Shown, load
from tests.lab.rows import lenet5_mnist


def shown_of(**figures: Any) -> Shown:
    row = Row("one", "One", {"a": ">= 0.5", "b": ">= 0.5"}, lambda course, shown: None)
    return Shown(row, figures=dict(figures))


def test_it_works() -> None:
    assert shown_of(a=0.6, b=0.4).judged() == {
        "a": {"value": 0.6, "floor": ">= 0.5", "ok": True},
        "b": {"value": 0.4, "floor": ">= 0.5", "ok": False},
    }
    assert shown_of(a=0.6).judged()["b"]["ok"] is False, "a number that is missing is no success"


def test_what_was_not_measured_is_never_ok() -> None:
    shown = shown_of(a=0.6)
    shown.not_measured["b"] = "There are no files."
    assert shown.judged()["b"] == {
        "value": None, "floor": ">= 0.5", "ok": None, "not_measured": "There are no files."
    }  # fmt: skip
    assert "NOT MEASURED. There are no files." in page.written([shown])
    # What was measured all the same is judged.
    shown.figures["b"] = 0.1
    assert shown.judged()["b"]["ok"] is False


def test_mnist_is_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LABPOOL_DATASETS_DIR", str(tmp_path))
    row = load("lenet5_mnist")
    shown = lab._run(row, None)  # type: ignore[arg-type] - nothing is run
    [one] = shown.judged().values()
    assert (one["value"], one["ok"]) == (None, None)
    assert "not on this machine" in one["not_measured"]
    assert "labpool data import mnist" in one["not_measured"]
    assert json.loads(json.dumps(one))["ok"] is None
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "record.json").write_text("{}")
    assert "mnist" in lenet5_mnist.missing()
