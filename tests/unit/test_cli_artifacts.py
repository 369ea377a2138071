"""`labpool artifacts`, and what `show --trial` says of the test split."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from labpool.cli import options
from labpool.cli.artifacts import examined_lines, file_names
from labpool.cli.exit_codes import ExitCode
from labpool.client.records import TrialDetail
from tests.support.cli import TRIAL, FakeClient, run

FILES = [
    {"id": 4, "name": "confusion.json", "media_type": "application/json", "size_bytes": 438},
    {"id": 9, "name": "samples-000005.png", "media_type": "image/png", "size_bytes": 9571},
]
EXAMINED = {
    "wrong": 3,
    "tested": 30,
    "confusion": [[10, 0, 0], [2, 7, 1], [0, 0, 10]],
    "mistakes": [{"place": 7, "true": 1, "given": 0, "probability": 0.9312}],
}


class WithFiles(FakeClient):
    """A trial that made files."""

    def artifacts(self, trial_id: int) -> list[dict[str, Any]]:
        assert trial_id == 11
        return FILES

    def download_artifact(self, artifact: Mapping[str, Any], path: Path) -> Path:
        path.write_text(artifact["name"])
        return path

    def trial(self, trial_id: int) -> TrialDetail:
        return TrialDetail.model_validate({**TRIAL, "summary": {"examined": EXAMINED}})


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "Client", WithFiles)


def test_it_works() -> None:
    head, *rows = run("artifacts", "11").stdout.splitlines()
    assert head.split() == ["name", "type", "bytes"]
    assert [row.split()[0] for row in rows] == ["confusion.json", "samples-000005.png"]
    assert json.loads(run("artifacts", "11", "--json").stdout) == FILES


def test_files_are_saved(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    result = run("artifacts", "11", "--to", str(folder), "--only", "confusion.json")
    assert result.exit_code == 0 and "1 file saved" in result.stderr
    assert [path.name for path in folder.iterdir()] == ["confusion.json"]
    run("artifacts", "11", "--to", str(folder))
    assert len(list(folder.iterdir())) == 2


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    result = run("artifacts", "11", "--only", "none.png", "--to", str(tmp_path / "a"))
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "made no file 'none.png'" in result.stderr
    assert not (tmp_path / "a").exists()


def test_names_cannot_leave_the_folder() -> None:
    names = ["../../.ssh/key", "/etc/passwd", "..", "a b", "a b", ""]
    found = [{"id": number, "name": name} for number, name in enumerate(names)]
    assert file_names(found) == ["_.._.ssh_key", "_etc_passwd", "file", "a_b", "4-a_b", "5-file"]


def test_show_says_what_was_mistaken() -> None:
    shown = run("show", "11", "--trial").stdout
    assert (
        "test split\n  27 of 30 examples named right\n  1 taken for 0: 2\n  1 taken for 2: 1\n"
        "  example 7: a 1 taken for 0 with 93.1 %\n"
    ) in shown


@pytest.mark.parametrize("summary", [{}, {"examined": "text"}, {"examined": {"tested": 3}}])
def test_other_results_say_nothing(summary: dict[str, Any]) -> None:
    assert examined_lines(summary) == []
