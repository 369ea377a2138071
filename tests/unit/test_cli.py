"""The command line: what it prints and with which status it ends."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from labpool.cli import main, options, server
from labpool.cli.exit_codes import MEANINGS, ExitCode
from labpool.cli.output import duration, print_table, printable
from labpool.cli.progress import Line, PlainView
from labpool.client import ApiError, Client, Curves, NoService, Snapshot, Trial, Unreachable
from labpool.client.records import Experiment, TrialDetail, TrialList
from tests.support.processes import free_port

TRIAL = {
    "id": 11,
    "number": 0,
    "experiment_id": 7,
    "owner": "ada",
    "kind": "train",
    "state": "succeeded",
    "model": "lenet5",
    "dataset": "digits",
    "device": "any",
    "seed": 0,
    "varied": {"learning_rate": 0.001},
    "metrics": {"test_accuracy": 0.97, "test_loss": 0.1},
    "seconds": 12.5,
    "created_at": "2026-11-23T12:00:00Z",
    "page_url": "/trials/11",
}
EXPERIMENT = {
    "id": 7,
    "name": "a \x1b[31msweep",
    "kind": "sweep",
    "owner": "ada",
    "created_at": "2026-11-23T12:00:00Z",
    "trial_count": 1,
    "finished_count": 1,
    "finished": True,
    "states": {"succeeded": 1},
    "page_url": "/experiments/7",
}
BOARD = {
    "board": {
        "title": "Digits",
        "metric": "test_accuracy",
        "unit": "share",
        "direction": "maximize",
    },
    "rows": [
        {
            "rank": 1,
            "user": "ada",
            "value": 0.97772,
            "model": "lenet5",
            "varied": {"learning_rate": 0.001},
            "seed": 0,
            "device": "cpu",
            "seconds": 12.5,
            "trial_id": 11,
        }
    ],
}
POOL = {
    "workers": [
        {
            "host": "gpu1",
            "alive": True,
            "draining": True,
            "slots": [
                {
                    "id": 3,
                    "name": "cpu 0",
                    "device": "cpu",
                    "state": "ready",
                    "reason": None,
                    "trials": [{"trial_id": None, "owner": None, "model": None}],
                }
            ],
        }
    ],
    "slot_count": 1,
    "busy_count": 1,
    "queued_count": 4,
    "quarantines": [
        {"device": "GPU-7", "name": "H200", "host": "gpu2", "reason": "It \x1b[31mburns."}
    ],
}

QUEUE = [
    {
        "trial": {"id": 12, "owner": "ada", "kind": "train", "model": "mlp", "device": "gpu"},
        "waiting": "It needs a GPU slot; the pool has none at present.",
    }
]
DATASET = {
    "name": "spirals",
    "title": "Spirals",
    "summary": "Points on spiral arms.",
    "digest": "abc",
    "details": {
        "kind": "vector",
        "shape": [2],
        "classes": 2,
        "license": "CC0-1.0",
        "source": "generated",
        "splits": {"seed": 1, "validation": 0.2, "test": 0.2},
        "parameters": {
            "examples": {
                "type": "integer",
                "default": 2000,
                "minimum": 50.0,
                "maximum": 100000.0,
                "meaning": "How many points.",
            }
        },
    },
}


class FakeClient(Client):
    """A client without a service; a test sets what goes wrong."""

    failure: Exception | None = None
    state = "succeeded"

    def __init__(self, url: str | None = None) -> None:
        self.closed = False
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        self.closed = True

    def page(self, page_url: str) -> str:
        return "http://lab.example" + page_url

    def _experiment(self) -> Experiment:
        return Experiment.model_validate({**EXPERIMENT, "states": {self.state: 1}})

    def submit(self, spec: object, idempotency_key: str | None = None) -> Any:
        self.spec = spec

        class Submission:
            id = 7
            trial_ids = (11,)
            experiment = self._experiment()

        return Submission()

    def experiment(self, experiment_id: int) -> Experiment:
        return self._experiment()

    def experiments(self, limit: int = 50, **filters: object) -> list[Experiment]:
        return [self._experiment()]

    def trials(
        self, experiment_id: int | None = None, limit: int | None = None, **filters: object
    ) -> TrialList:
        return TrialList([Trial.model_validate({**TRIAL, "state": self.state})])

    def trial(self, trial_id: int) -> TrialDetail:
        spec = {"model": "lenet5", "parameters": {"units": trial_id}, "name": f"run {trial_id}"}
        metrics = {"test_accuracy": trial_id / 100, "val_loss": trial_id / 10, "epochs_run": 3}
        changes = {"id": trial_id, "spec": spec, "metrics": metrics, "waiting": "two are ahead"}
        return TrialDetail.model_validate({**TRIAL, **changes})

    def snapshot(self, experiment_id: int) -> Snapshot:
        return Snapshot(experiment=self._experiment(), trials=self.trials())

    def board(self, name: str, limit: int | None = None) -> dict[str, Any]:
        return BOARD

    def pool(self) -> dict[str, Any]:
        return POOL

    def clear_quarantine(self, device: str) -> dict[str, Any]:
        return {**POOL["quarantines"][0], "device": device}

    def drain_worker(self, worker: str, undo: bool = False) -> dict[str, Any]:
        return {"worker": "w", "host": worker, "draining": not undo}

    def queue(self, limit: int = 50) -> list[dict[str, Any]]:
        return QUEUE[:limit]

    def catalog(self) -> dict[str, Any]:
        return {"datasets": [DATASET]}

    def boards(self) -> list[dict[str, Any]]:
        return [{"name": "digits", "title": "Digits", **BOARD["board"]}]

    def curves(self, trial_id: int, into: Curves | None = None) -> Curves:
        curves = Curves(trial_id)
        points = {"steps": [1, 2, 3], "epochs": [1, 2, 3], "times_s": [0.1, 0.2, 0.3]}
        val_loss = {**points, "values": [1.5, None, 0.5]}
        answer = {"reset": True, "fence": 1, "finished": True, "cursor": None}
        curves.add({**answer, "curves": {"val_loss": val_loss}})
        return curves

    def log_parts(self, trial_id: int, follow: bool = False) -> Iterator[str]:
        yield from ("epoch 1\n", "epoch 2\n")

    def retry(self, trial_id: int) -> int:
        return 12

    def pause(self, experiment_id: int) -> Experiment:
        return self._experiment()

    resume = stop = cancel = pause

    def pause_trial(self, trial_id: int) -> TrialDetail:
        return TrialDetail.model_validate({**TRIAL, "state": "running", "wish": "pause"})

    def stop_trial(self, trial_id: int) -> TrialDetail:
        return TrialDetail.model_validate({**TRIAL, "state": "running", "wish": "stop"})

    def cancel_trial(self, trial_id: int) -> TrialDetail:
        changes = {"state": "running", "wish": "stop", "cancel_requested": True}
        return TrialDetail.model_validate({**TRIAL, **changes})

    def resume_trial(self, trial_id: int) -> TrialDetail:
        return TrialDetail.model_validate({**TRIAL, "state": "queued", "held": True})


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    """Commands reach this class; a test may change it."""
    made = type("FakeClientOfOneTest", (FakeClient,), {})
    monkeypatch.setattr(options, "Client", made)
    return made


def run(*arguments: str, **more: Any) -> Result:
    return CliRunner().invoke(main, arguments, **more)


def test_it_works() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in main.commands:
        assert name in result.stdout


@pytest.mark.parametrize(
    "name", sorted(set(main.commands) - {"up", "demo", "worker", "user", "token"})
)
def test_every_command_explains_itself(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) > 4


@pytest.mark.parametrize(
    "arguments",
    [
        ("ls",),
        ("show", "7"),
        ("show", "11", "--trial"),
        ("board",),
        ("board", "digits"),
        ("pool",),
        ("curves", "11"),
        ("compare", "11", "12"),
        ("data", "ls"),
        ("data", "show", "spirals"),
        ("watch", "7"),
    ],
)
def test_reading_commands_give_json(service: type[FakeClient], arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    json.loads(line)


def test_ls_is_a_table_without_control_characters(service: type[FakeClient]) -> None:
    result = run("ls")
    assert "a �[31msweep" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stdout.splitlines()[0].split() == (
        ["id", "kind", "name", "owner", "finished", "states", "created"]
    )


def test_the_board_is_a_table(service: type[FakeClient]) -> None:
    result = run("board", "digits")
    assert "higher is better" in result.stdout
    assert re.search(r"1\s+ada\s+0.97772\s+lenet5\s+learning_rate=0.001\s+cpu", result.stdout)


def test_the_pool_hides_what_is_hidden(service: type[FakeClient]) -> None:
    result = run("pool")
    assert "another user's trial" in result.stdout
    assert "1 of 1 slots busy, 4 trials waiting" in result.stdout


def test_the_pool_names_what_takes_nothing(service: type[FakeClient]) -> None:
    shown = run("pool").stdout
    assert re.search(r"gpu1\s+3\s+cpu 0\s+cpu\s+draining", shown)
    assert "Out of service: H200 of gpu2: It " in shown
    assert "labpool pool clear GPU-7" in shown
    assert "\x1b" not in shown


def test_admins_keep_the_pool_in_repair(service: type[FakeClient]) -> None:
    assert "H200 of gpu2 is in service again." in run("pool", "clear", "3").stdout
    assert json.loads(run("pool", "clear", "3", "--json").stdout)["device"] == "3"
    assert "takes nothing more" in run("pool", "drain", "gpu1").stdout
    assert "takes trials again" in run("pool", "drain", "gpu1", "--undo").stdout


def test_the_pool_shows_the_queue_with_reasons(service: type[FakeClient]) -> None:
    result = run("pool")
    assert re.search(r"12\s+ada\s+train\s+mlp\s+gpu\s+It needs a GPU slot", result.stdout)
    assert json.loads(run("pool", "--json").stdout)["queue"] == QUEUE


def test_curves_are_sparklines_a_plot_or_csv(service: type[FakeClient]) -> None:
    assert re.search(r"val_loss\s+3\s+1.5\s+0.5\s+0.5\s+1.5\s+█ ▁", run("curves", "11").stdout)
    plotted = run("curves", "11", "--name", "val_loss").stdout.splitlines()
    assert len(plotted) == 13
    assert plotted[1].lstrip().startswith("1.5 │")
    assert plotted[10].lstrip().startswith("0.5 │")
    assert run("curves", "11", "--csv").stdout.splitlines() == [
        "metric,step,epoch,time_s,value",
        "val_loss,1,1,0.1,1.5",
        "val_loss,2,2,0.2,",
        "val_loss,3,3,0.3,0.5",
    ]


def test_a_curve_that_is_not_there_is_said(service: type[FakeClient]) -> None:
    result = run("curves", "11", "--name", "loss")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "It has val_loss." in result.stderr


def test_compare_shows_what_differs_and_marks_the_best(service: type[FakeClient]) -> None:
    lines = run("compare", "11", "12").stdout.splitlines()
    assert lines[0].split() == (
        ["trial", "state", "parameters.units", "test_accuracy", "val_loss", "epochs_run", "time"]
    )
    assert lines[1].split()[:6] == ["11", "succeeded", "11", "0.11", "1.1*", "3"]
    assert lines[2].split()[:6] == ["12", "succeeded", "12", "0.12*", "1.2", "3"]
    found = json.loads(run("compare", "11", "12", "--metric", "val_loss", "--json").stdout)
    assert found["best"] == {"val_loss": [11]}
    assert found["trials"][0]["differing"] == {"parameters.units": 11}


def test_compare_needs_two(service: type[FakeClient]) -> None:
    result = run("compare", "11", "11")
    assert result.exit_code == ExitCode.USAGE
    assert "2 to 200" in result.stderr


def test_data_sets_are_listed_and_shown(service: type[FakeClient]) -> None:
    assert re.search(r"spirals\s+vector\s+2\s+2\s+2000 \(a", run("data", "ls").stdout)
    shown = run("data", "show", "spirals").stdout
    assert "60% train, 20% validation, 20% test" in shown
    assert re.search(r"examples\s+integer\s+2000\s+50\s+100000\s+How many", shown)
    missing = run("data", "show", "mnist")
    assert missing.exit_code == ExitCode.NOT_FOUND
    assert "spirals" in missing.stderr


def test_a_log_is_text_or_json_lines(service: type[FakeClient]) -> None:
    assert run("logs", "11").stdout == "epoch 1\nepoch 2\n"
    lines = run("logs", "11", "--json").stdout.splitlines()
    assert json.loads(lines[1]) == {"trial": 11, "text": "epoch 2\n"}


def test_watch_prints_the_end_as_json(service: type[FakeClient]) -> None:
    ((seen),) = json.loads(run("watch", "7", "--json").stdout)
    assert seen["experiment"]["id"] == 7
    assert [trial["id"] for trial in seen["trials"]] == [11]


def test_show_says_why_a_trial_waits(service: type[FakeClient]) -> None:
    assert "waiting: two are ahead" in run("show", "11", "--trial").stdout


def test_what_ended_early_is_shown_so(service: type[FakeClient]) -> None:
    progress = {"done": 124.0, "total": 20000.0, "unit": "epoch"}
    early = {**TRIAL, "ended_early": True, "progress": progress}
    service.trial = lambda self, trial_id: TrialDetail.model_validate(early)  # type: ignore[method-assign]
    service.trials = lambda self, *_: TrialList([self.trial(11)])  # type: ignore[method-assign]
    text = run("show", "11", "--trial").stdout
    assert "succeeded, ended early after 124 of 20,000 epochs; http" in text
    table = run("show", "7").stdout
    assert "1 %, ended early" in table and "100 %" not in table


def test_what_ended_well_is_done_with_all_of_it(service: type[FakeClient]) -> None:
    assert "100 %" in run("show", "7").stdout
    assert "experiment 7: succeeded; http" in run("show", "11", "--trial").stdout


def test_submit_and_watch_to_a_good_end(service: type[FakeClient], tmp_path: Path) -> None:
    result = run("submit", str(tmp_path / "spec.yaml"), "--watch")
    assert result.exit_code == ExitCode.OK
    assert "http://lab.example/experiments/7" in result.stderr
    assert "trial 11 lenet5 learning_rate=0.001: succeeded" in result.stderr


def test_submit_reads_standard_input(service: type[FakeClient]) -> None:
    result = run("submit", "-", "--json", input="{kind: train}")
    assert json.loads(result.stdout) == {
        "experiment": 7,
        "trials": [11],
        "page": "http://lab.example/experiments/7",
    }


def test_failed_trials_have_a_status_of_their_own(service: type[FakeClient]) -> None:
    service.state = "failed"
    assert run("watch", "7").exit_code == ExitCode.TRIALS_FAILED


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (NoService("client.json"), ExitCode.NO_SERVICE),
        (Unreachable("http://lab.example", "refused"), ExitCode.NO_SERVICE),
        (ApiError(401, {"detail": "no"}), ExitCode.REFUSED),
        (ApiError(403, {"detail": "no"}), ExitCode.REFUSED),
        (ApiError(404, {"detail": "no"}), ExitCode.NOT_FOUND),
        (ApiError(422, {"detail": "no"}), ExitCode.INVALID),
        (ApiError(429, {"detail": "full"}), ExitCode.FAILED),
        (ApiError(500, {"detail": "oops"}), ExitCode.FAILED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
    ],
)
def test_errors_are_words_and_a_status(
    service: type[FakeClient], failure: Exception, status: ExitCode
) -> None:
    service.failure = failure
    result = run("ls")
    assert result.exit_code == status
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_every_status_is_explained() -> None:
    assert set(MEANINGS) == set(ExitCode)


def test_a_misspelt_command_is_a_usage_error() -> None:
    assert run("submitt").exit_code == ExitCode.USAGE


def test_the_schema_is_json_schema() -> None:
    schema = json.loads(run("schema").stdout)
    assert schema["$schema"].endswith("2020-12/schema")


def test_server_commands_become_the_checkouts(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(server.os, "execve", lambda *arguments: started.append(arguments))
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    assert run("user", "add", "ada", "--role", "admin").exit_code == 0
    ((_, command, environment),) = started
    assert command[1:] == ["-m", "deploy.admin", "user", "add", "ada", "--role", "admin"]
    assert environment["PYTHONPATH"].split(":") == [str(server.CHECKOUT), "/elsewhere"]
    assert environment["PYTHONSAFEPATH"] == "1"


def test_the_doctor_is_the_checkouts_with_the_same_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(server, "become", lambda *given: started.append(given) or sys.exit(0))
    run("doctor", "--data-dir", str(tmp_path), "--url", "http://x", "--json")
    options = ["--data-dir", str(tmp_path), "--url", "http://x", "--json"]
    assert started == [("doctor", options)]
    # Even where everything else is missing.
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    assert run("doctor").exit_code == 0
    assert started[1:] == [("doctor", [])]


def test_the_doctor_of_a_client_alone_looks_at_the_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server, "CHECKOUT", tmp_path)
    monkeypatch.setenv("LABPOOL_URL", f"http://127.0.0.1:{free_port()}")
    result = run("doctor", "--json")
    assert result.exit_code == ExitCode.FAILED
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert set(checks) == {"python", "service"}
    assert checks["service"]["state"] == "problem"
    assert checks["service"]["mend"] == "labpool up"


def test_a_client_alone_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server, "CHECKOUT", tmp_path)
    result = run("up")
    assert result.exit_code == ExitCode.FAILED
    assert "make setup" in result.stderr


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    result = run("up")
    assert result.exit_code == ExitCode.FAILED
    assert "sqlalchemy, flask, celery" in result.stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.25, "0.2 s"), (59, "59 s"), (125, "2 min 5 s"), (3780, "1 h 3 min")],
)
def test_durations_are_words(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_tables_align_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("n", "text"), [(1, "a" * 200), (100, None)])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["  n  text", f"  1  {'a' * 200}", "100  -"]


def test_control_characters_do_nothing() -> None:
    assert printable("a\x1b[2Jb\u202e\tc") == "a�[2Jb�\tc"


def line(**changes: Any) -> Line:
    trial = Trial.model_validate({**TRIAL, **changes})
    return Line(trial, 0.5, ("val_accuracy", 0.9), 12.0)


def test_plain_progress_says_only_what_changed() -> None:
    stream = io.StringIO()
    with PlainView(stream) as view:
        for done in (0, 1, 2, 3, 9):
            progress = {"done": done, "total": 12, "unit": "epoch"}
            view.show([line(state="running", progress=progress)], "")
        view.show([line()], "")
        view.show([line()], "")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert "epoch 3 of 12, loss 0.5, val_accuracy 0.9, 12 s left" in lines[1]
    assert lines[-1].endswith("succeeded (loss 0.5, val_accuracy 0.9, 12 s left, in 12 s)")


def test_plain_progress_tells_of_a_pause_once() -> None:
    stream = io.StringIO()
    with PlainView(stream) as view:
        for wish in (None, "pause", "pause", None):
            view.show([line(state="running", wish=wish)], "")
    lines = stream.getvalue().splitlines()
    assert ["pausing after this epoch" in text for text in lines] == [False, True, False]


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        ("pause", "running, pausing after this epoch"),
        ("stop", "running, stopping after this epoch"),
        ("cancel", "running, cancelling"),
        ("resume", "queued, held back"),
    ],
)
def test_what_was_asked_of_a_trial_is_told(service: type[FakeClient], verb: str, says: str) -> None:
    assert run(verb, "11", "--trial").stdout == f"Trial 11: {says}\n"
    assert json.loads(run(verb, "11", "--trial", "--json").stdout)["id"] == 11
    assert run(verb, "7").stdout == "Experiment 7: succeeded=1\n"


def test_commands_are_documented_once() -> None:
    for command in main.commands.values():
        assert isinstance(command, click.Command)
        assert command.help
