"""KerasTuner, distributed as its guide says: a chief, two tuners, gRPC on the loopback.

The oracle gives out the listed trials in turn: its own grid goes on only from a trial that has
ended, so that one of the two tuners would wait. `run_trial` is the one of a tuner of people's own:
no model is saved. ``by_keras_tuner fit``; the three are ``by_keras_tuner fit chief|tuner0|tuner1``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.bench.rivals import speaking

TUNERS = 2
ROLES = ("chief", *(f"tuner{number}" for number in range(TUNERS)))
READY_S, PATIENCE_S = 240.0, 1800.0
# The tuners want both cores: who waits looks seldom.
POLL_S = 0.05


@contextmanager
def _started() -> Iterator[tuple[Path, list[subprocess.Popen[bytes]]]]:
    """Tuners that are warm and wait for the trials, in a folder of theirs."""
    with tempfile.TemporaryDirectory(prefix="lp-kt-") as name, ExitStack() as stack:
        folder = Path(name)
        started = []
        for role in ROLES:
            command = [sys.executable, "-m", "tests.bench.rivals.by_keras_tuner", "fit", role]
            environment = {
                **os.environ,
                "KERASTUNER_TUNER_ID": role,
                "KERASTUNER_ORACLE_IP": "127.0.0.1",
                "KERASTUNER_ORACLE_PORT": _port(),
                "RIVALS_FOLDER": name,
            }
            started.append(subprocess.Popen(command, env=environment))
            stack.callback(_end, started[-1])
        deadline = time.monotonic() + READY_S
        while len(list(folder.glob("*.warm"))) <= TUNERS:
            _check(started, deadline)
            time.sleep(0.05)
        yield folder, started


def _run(made: tuple[Path, list[subprocess.Popen[bytes]]], trials: list[dict[str, Any]]) -> Any:
    folder, started = made
    unfinished = folder / "trials.unfinished"
    unfinished.write_text(json.dumps(trials), encoding="utf-8")
    unfinished.rename(folder / "trials.json")
    deadline = time.monotonic() + PATIENCE_S
    while len(list(folder.glob("*.accuracy"))) < len(trials):
        _check(started, deadline)
        time.sleep(POLL_S)
    return [float((folder / f"{trial['number']}.accuracy").read_text()) for trial in trials]


def _check(started: list[subprocess.Popen[bytes]], deadline: float) -> None:
    assert time.monotonic() < deadline, "KerasTuner took too long"
    # A tuner may have ended well when nothing was left for it.
    assert not any(one.poll() for one in started), "a process of KerasTuner failed"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


_PORTS: list[str] = []


def _port() -> str:
    """A free port of the loopback, the same for all three."""
    import socket

    if not _PORTS:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            _PORTS.append(str(listener.getsockname()[1]))
    return _PORTS[0]


def _trials(folder: Path) -> list[dict[str, Any]]:
    while not (folder / "trials.json").exists():
        time.sleep(POLL_S)
    return list(json.loads((folder / "trials.json").read_text(encoding="utf-8")))


def _tune(role: str) -> None:
    """One of the three processes."""
    folder = Path(os.environ["RIVALS_FOLDER"])
    work = speaking.work("fit")
    work.prepare()
    import keras_tuner

    class Listed(keras_tuner.Oracle):  # type: ignore[misc]
        """Gives out the trials by their numbers, and no more."""

        def populate_space(self, trial_id: str) -> dict[str, Any]:
            number = len(self.start_order)
            if number >= len(_trials(folder)):
                return {"status": "STOPPED"}
            return {"status": "RUNNING", "values": {"number": number}}

    class Tuner(keras_tuner.Tuner):  # type: ignore[misc]
        def run_trial(self, trial: Any, *_: Any, **__: Any) -> float:
            number = trial.hyperparameters.get("number")
            accuracy: float = work.fit(_trials(folder)[number])
            unfinished = folder / f"{number}.unfinished"
            unfinished.write_text(str(accuracy))
            unfinished.rename(folder / f"{number}.accuracy")
            return accuracy

    def build(hyperparameters: Any) -> Any:
        hyperparameters.Int("number", 0, 10_000)
        return work.network({"hidden": []})

    if role != "chief":
        work.warm()
    (folder / f"{role}.warm").touch()
    if role != "chief":
        _trials(folder)
    tuner = Tuner(
        oracle=Listed(objective=keras_tuner.Objective("accuracy", "max"), max_trials=10_001),
        hypermodel=build, directory=str(folder / "results"), project_name="rivals",
    )  # fmt: skip
    tuner.search(verbose=0)


if __name__ == "__main__":
    speaking.way()
    if sys.argv[-1] in ROLES:
        _tune(sys.argv[-1])
    elif speaking.way() != "fit":
        sys.exit("KerasTuner is measured with fit alone.")
    else:
        speaking.speak(_started, _run, "keras-tuner")
