"""The command line on a service that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from click.testing import CliRunner, Result

from labpool.cli import main
from labpool.cli.progress import Line
from labpool.client import Client, Curves, Snapshot, Trial
from labpool.client.records import Experiment, TrialDetail, TrialList

TRIAL: dict[str, Any] = {
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
EXPERIMENT: dict[str, Any] = {
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
BOARD: dict[str, Any] = {
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
POOL: dict[str, Any] = {
    "workers": [
        {
            "id": "92d6bde7f0a1",
            "host": "gpu1",
            "alive": True,
            "draining": True,
            "seen_at": "2026-11-23T12:00:00Z",
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
DATASET: dict[str, Any] = {
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

    def submit(
        self, spec: object, idempotency_key: str | None = None, if_duplicate: str = "run"
    ) -> Any:
        self.spec = spec

        class Submission:
            id = 7
            trial_ids = (11,)
            duplicates = ()
            reused = False
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
        details = {**DATASET["details"], "splits": {"undivided": True}}
        return {"datasets": [DATASET, {**DATASET, "name": "table", "details": details}]}

    def boards(self) -> list[dict[str, Any]]:
        return [{"name": "digits", "title": "Digits", **BOARD["board"]}]

    def curves(self, trial_id: int, into: Curves | None = None) -> Curves:
        curves = Curves(trial_id)
        points = {"steps": [1, 2, 3], "epochs": [1, 2, 3], "times_s": [0.1, 0.2, 0.3]}
        val_loss = {**points, "values": [1.5, None, 0.5]}
        answer = {"reset": True, "fence": 1, "finished": True, "cursor": None}
        curves.add({**answer, "curves": {"val_loss": val_loss}})
        return curves

    def log_parts(
        self,
        trial_id: int,
        follow: bool = False,
        on_away: Callable[[], None] | None = None,
        fence: int | None = None,
    ) -> Iterator[str]:
        yield from ("epoch 1\n", "epoch 2\n" if fence is None else f"of fence {fence}\n")

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


def run(*arguments: str, **more: Any) -> Result:
    """`labpool` with these arguments."""
    return CliRunner().invoke(main, arguments, **more)


def line(**changes: Any) -> Line:
    """A line of the progress of a trial that differs so."""
    trial = Trial.model_validate({**TRIAL, **changes})
    return Line(trial, 0.5, ("val_accuracy", 0.9), 12.0)
