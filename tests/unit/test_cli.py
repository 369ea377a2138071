"""The command line: what it prints and with which status it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from labpool.cli import main, options, server
from labpool.cli.exit_codes import MEANINGS, ExitCode
from labpool.client import ApiError, NoService, Unreachable
from labpool.client.records import Experiment
from tests.support.cli import EXPERIMENT, FakeClient, run
from tests.support.processes import free_port


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    """Commands reach this class; a test may change it."""
    made = type("FakeClientOfOneTest", (FakeClient,), {})
    monkeypatch.setattr(options, "Client", made)
    return made


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
        "duplicates": [],
        "reused": False,
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
    assert run(verb, "7").stdout == "Experiment 7: 1 succeeded\n"


def experiment(**changes: Any) -> Experiment:
    return Experiment.model_validate({**EXPERIMENT, "finished": False, **changes})


def test_what_became_of_an_experiments_trials_is_told(service: type[FakeClient]) -> None:
    asked = {"held": 5, "pausing": 1}
    changed = experiment(states={"queued": 6, "running": 2}, asked=asked, changed=6)
    service.pause = lambda *_: changed  # type: ignore[method-assign]
    says = "Experiment 7: 5 held back, 1 pausing after this epoch, 1 queued, 1 running\n"
    assert run("pause", "7").stdout == says
    service.experiments = lambda *_, **__: [changed]  # type: ignore[method-assign]
    assert "held=5, pausing=1, queued=1, running=1" in run("ls").stdout


@pytest.mark.parametrize(
    ("finished", "why"),
    [(True, "all of its trials have ended"), (False, "what runs is a benchmark")],
)
def test_nothing_to_change_is_said(service: type[FakeClient], finished: bool, why: str) -> None:
    service.stop = lambda *_: experiment(finished=finished, changed=0)  # type: ignore[method-assign]
    result = run("stop", "7")
    assert result.exit_code == ExitCode.INVALID
    assert f"there is nothing to stop: {why}" in result.stderr


def test_a_number_that_no_trial_can_have_is_refused(service: type[FakeClient]) -> None:
    assert run("why", "9" * 23).exit_code == ExitCode.USAGE


def test_commands_are_documented_once() -> None:
    for command in main.commands.values():
        assert isinstance(command, click.Command)
        assert command.help
