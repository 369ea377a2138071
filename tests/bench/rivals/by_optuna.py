"""Optuna in two processes that share a study by a journal file, as its documentation advises.

Every trial is enqueued, so the sampler has nothing to choose. (`n_jobs` gives threads, which
Python's lock holds up: slower.) ``by_optuna fit|loop``; with ``one`` it is one of the two.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from tests.bench.peers.fits import answer
from tests.bench.rivals import speaking

PROCESSES = 2
STUDY = "rivals"
ONE = "one"


@contextmanager
def _processes() -> Iterator[list[subprocess.Popen[str]]]:
    command = (sys.executable, "-m", "tests.bench.rivals.by_optuna", speaking.way(), ONE)
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert _heard(process) == "ready"
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _run(processes: list[subprocess.Popen[str]], trials: list[dict[str, Any]]) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="lp-optuna-") as folder:
        journal = f"{folder}/journal.log"
        study = optuna.create_study(
            study_name=STUDY, storage=_storage(journal), direction="maximize"
        )
        for trial in trials:
            study.enqueue_trial({"number": trial["number"]}, user_attrs={"trial": trial})
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"{json.dumps(journal)}\n")
            process.stdin.flush()
        for process in processes:
            assert _heard(process).startswith("done ")
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    found = {trial.params["number"]: trial.value for trial in done}
    return [found[trial["number"]] for trial in trials]


def _storage(journal: str) -> JournalStorage:
    return JournalStorage(JournalFileBackend(journal))


@contextmanager
def _warm() -> Iterator[Any]:
    work = speaking.work(speaking.way())
    work.warm()
    yield work


def _optimize(work: Any, journal: str) -> int:
    """One process's share: trials until none waits."""
    done = 0

    def objective(trial: optuna.Trial) -> float:
        nonlocal done
        wanted = trial.user_attrs.get("trial")
        if wanted is None:  # the other process was quicker to take the last one
            raise optuna.TrialPruned
        trial.suggest_int("number", 0, 10_000)
        accuracy: float = work.fit(wanted)
        done += 1
        return accuracy

    def stop_when_none_waits(study: optuna.Study, _: FrozenTrial) -> None:
        if not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            study.stop()

    study = optuna.load_study(
        study_name=STUDY, storage=_storage(journal), sampler=optuna.samplers.RandomSampler(0)
    )
    study.optimize(objective, callbacks=[stop_when_none_waits])
    return done


if __name__ == "__main__":
    speaking.way()
    if ONE in sys.argv[2:3]:
        answer(_warm, _optimize)
    else:
        speaking.speak(_processes, _run, "optuna")
