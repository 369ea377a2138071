"""`labpool demo` for real, with one epoch a network: what people and programs see."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.child import child_environment
from labpool.cli.exit_codes import ExitCode
from tests.support.processes import (
    Processes,
    answers,
    assert_gone,
    family,
    kept_environment,
    wait_until,
)

KEYS = ["id", "kind", "model", "state", "test_accuracy", "seconds"]


def demo(folder: Path, *options: str, timeout_s: float = 280) -> subprocess.CompletedProcess[str]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    # Another service's settings must not reach the demo's.
    environment = child_environment(
        {**kept_environment(), "HOME": str(home)}, LABPOOL_DATABASE_URL="postgresql://nowhere/x"
    )
    return subprocess.run(
        [sys.executable, "-m", "deploy.demo", "--data-dir", str(folder / "demo"), *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def test_it_works(tmp_path: Path) -> None:
    result = demo(tmp_path, "--epochs", "1")
    assert result.returncode == 0, result.stderr
    last = json.loads(result.stdout.splitlines()[-1])
    assert list(last) == ["trials", "board_url"]
    assert [list(trial) for trial in last["trials"]] == [KEYS] * 6
    models = [trial["model"] for trial in last["trials"]]
    assert models == ["lenet5"] * 4 + ["keras_cnn", "dense_relu"]
    for trial in last["trials"]:
        assert trial["state"] == "succeeded"
        assert trial["seconds"] > 0
        is_benchmark = trial["kind"] == "benchmark"
        assert (trial["test_accuracy"] is None) == is_benchmark
    assert "Digits" in result.stdout
    assert "learning_rate=0.003, batch_size=64" in result.stderr
    assert last["board_url"].endswith("/boards/digits")
    assert not answers(last["board_url"])
    log = (tmp_path / "demo" / "logs" / "up.log").read_text()
    assert "was killed" not in log
    assert "Stopped." in log


def test_ctrl_c_in_the_middle_stops_everything(tmp_path: Path) -> None:
    with Processes(tmp_path / "processes") as processes:
        command = [sys.executable, "-m", "deploy.demo", "--data-dir", str(tmp_path / "demo")]
        running = processes.child("demo", command, kept_environment())
        wait_until(lambda: ": running" in running.log_tail(), 120, f"a trial\n{running.log_tail()}")
        everything = family(running.pid)
        assert len(everything) >= 5
        running.signal(signal.SIGINT)
        assert running.wait(60.0)
        assert running.status == ExitCode.INTERRUPTED
        assert_gone(everything, 5.0)
        assert "Interrupted; everything is stopped." in running.log_tail()


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "thesis.tex").write_text("years of work")
    result = demo(tmp_path)
    assert result.returncode == 1
    assert "thesis" not in result.stderr
    assert "--data-dir" in result.stderr
    assert (tmp_path / "demo" / "thesis.tex").read_text() == "years of work"


@pytest.mark.timeout(300)
def test_too_little_time_is_said_and_everything_is_stopped(tmp_path: Path) -> None:
    result = demo(tmp_path, "--timeout", "0")
    assert result.returncode == 1
    assert "--timeout" in result.stderr
    last = json.loads(result.stdout.splitlines()[-1])
    assert len(last["trials"]) == 6
    assert not answers(last["board_url"])
