"""Boards over seeds, reruns and duplicates on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest

from labpool.cli import options
from labpool.cli import submit as submitting
from labpool.client import TrialDetail
from tests.support.cli import BOARD, TRIAL, FakeClient, run

KNOWN = {"trial_id": 4, "owner": "bob", "number": 0, "metrics": {"test_accuracy": 0.97}}
COMPARED = {
    "verdict": "differs",
    "seeds": 3,
    "metrics": [
        {"name": "test_accuracy", "first": 0.97, "again": 0.5, "low": 0.92, "high": 1.02,
         "within": False},
        {"name": "test_loss", "first": 0.1, "again": 0.1, "low": 0.0, "high": 0.2, "within": True},
    ],
    "reasons": ["threads: 1, then 2"],
}  # fmt: skip


class Lab(FakeClient):
    """A service that has a result of everything already."""

    submitted: ClassVar[list[str]] = []
    board_shown: ClassVar[dict[str, Any]] = BOARD

    def board(self, name: str, limit: int | None = None) -> dict[str, Any]:
        return self.board_shown

    def board_csv(self, name: str, limit: int | None = None) -> str:
        return "rank,user\r\n1,ada\r\n"

    def check(self, spec: object) -> dict[str, Any]:
        return {"trial_count": 1, "duplicate_count": 1, "duplicates": [KNOWN]}

    def submit(
        self, spec: object, idempotency_key: str | None = None, if_duplicate: str = "run"
    ) -> Any:
        self.submitted.append(if_duplicate)
        made = super().submit(spec, idempotency_key, if_duplicate)
        made.duplicates, made.reused = [KNOWN], if_duplicate == "return"
        return made

    def rerun(self, trial_id: int, with_todays_code: bool = False) -> dict[str, Any]:
        changed = ["the model mlp has changed"] if with_todays_code else []
        urls = {"url": "/api/v1/trials/12", "page_url": "/trials/12"}
        return {"trial_id": 12, "experiment_id": 7, "rerun_of": 11, "changed": changed, **urls}

    def trial(self, trial_id: int) -> TrialDetail:
        return TrialDetail.model_validate({**TRIAL, "parent_id": 3, "reproduction": COMPARED})


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> type[Lab]:
    made = type("LabOfOneTest", (Lab,), {"submitted": []})
    monkeypatch.setattr(options, "Client", made)
    return made


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "spec.yaml"
    path.write_text("kind: train\n")
    return str(path)


def test_it_works(lab: type[Lab]) -> None:
    row = BOARD["rows"][0]
    band = {"first": 1, "last": 2, "half_width": 0.0025, "borrowed": False}
    several = {**row, "band": band, "half_width": 0.0025, "seeds": [0, 1, 2]}
    several["varied"] = {"learning_rate": 0.001, "seed": 2}
    lab.board_shown = {
        "board": {
            **BOARD["board"],
            "baselines": [{"name": "LeNet-5", "value": 0.9905, "source": "a paper"}],
        },
        "rows": [several, {**row, "rank": 3, "band": {**band, "first": 3, "last": 3}}],
    }
    shown = run("board", "digits").stdout
    assert re.search(
        r"1-2\s+ada\s+0\.9777 ± 0\.0025\s+lenet5\s+learning_rate=0.001\s+cpu\s+3", shown
    )
    assert "seed=2" not in shown
    assert re.search(r"\n3\s+ada\s+0\.97772", shown)
    assert "0.9905 LeNet-5 (a paper)" in shown
    assert "share their ranks" in shown


def test_single_runs_are_said_to_be(lab: type[Lab]) -> None:
    assert "One seed a row" in run("board", "digits").stdout


def test_csv_is_printed_as_it_comes(lab: type[Lab]) -> None:
    assert run("board", "digits", "--csv").stdout.splitlines() == ["rank,user", "1,ada"]


def test_a_rerun_says_what_it_is_and_what_has_changed(lab: type[Lab]) -> None:
    assert "Trial 12 runs trial 11 again: http" in run("rerun", "11").stdout
    shown = run("rerun", "11", "--with-todays-code").stdout
    assert "again, though the model mlp has changed" in shown
    assert json.loads(run("rerun", "11", "--json").stdout)["trial_id"] == 12


def test_show_says_how_it_compares(lab: type[Lab]) -> None:
    shown = run("show", "11", "--trial").stdout
    assert "Differs from trial 3 in test accuracy; outside of its interval over 3 seeds." in shown
    assert "threads: 1, then 2" in shown
    assert re.search(r"test_accuracy\s+0\.97\s+0\.5\s+0\.92\s+1\.02", shown)


def test_a_script_runs_it_again_and_is_told(lab: type[Lab], spec: str) -> None:
    shown = run("submit", spec)
    assert lab.submitted == ["run"]
    assert "trial 4 of bob: test_accuracy 0.97" in shown.stderr
    assert shown.stdout == "", "a script reads what it always did"
    content = json.loads(run("submit", spec, "--json").stdout)
    assert (content["duplicates"], content["reused"]) == ([4], False)


def test_reuse_stores_nothing(lab: type[Lab], spec: str) -> None:
    shown = run("submit", spec, "--reuse", "--watch").stderr
    assert lab.submitted == ["return"]
    assert "Nothing new was stored" in shown
    assert run("submit", spec, "--reuse", "--again").exit_code == 2


@pytest.mark.parametrize(("typed", "runs"), [("y\n", ["run"]), ("n\n", []), ("\n", [])])
def test_a_terminal_asks(
    lab: type[Lab], spec: str, monkeypatch: pytest.MonkeyPatch, typed: str, runs: list[str]
) -> None:
    monkeypatch.setattr(submitting, "_on_terminal", lambda: True)
    shown = run("submit", spec, input=typed)
    assert "trial 4 of bob" in shown.stderr
    assert lab.submitted == runs
    lab.submitted.clear()
    run("submit", spec, "--again", input="")
    assert lab.submitted == ["run"]
