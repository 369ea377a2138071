"""One run of a model that trains itself, from a resolved spec to its result."""

from __future__ import annotations

from pathlib import Path

from labpool.model_form import Judging, ModelInput
from worker import protocol
from worker.protocol import TrialToRun
from worker.runner import checkpoints, environment, loading
from worker.runner.data import Splits
from worker.runner.examples import UNDIVIDED, load_splits
from worker.runner.own_program import FUNCTIONS, OwnProgram
from worker.runner.program_loop import ProgramLoop, ProgramPlan
from worker.runner.reasons import EntryBroken
from worker.runner.report import Report
from worker.wire_types import Json


def train_program(trial: TrialToRun, report: Report, threads: int) -> protocol.Result:
    """Train, choose by validation, judge by the test split once. Reports all along.

    Raises TrialCancelled, TrialPaused, Diverged, Unsuitable, EntryBroken, DigestMismatch,
    CheckpointBroken, OSError, and whatever the catalog's code raises.
    """
    plan = ProgramPlan.of(trial.spec)
    folder = loading.verify(trial.code)
    about = loading.read_toml(folder / "model.toml")
    splits, classes = _splits(trial, ModelInput.model_validate(about["input"]))
    code = loading.load(trial.code, folder / "model.py", *FUNCTIONS)
    parameters = trial.spec["parameters"]
    if not isinstance(parameters, dict):
        raise EntryBroken("parameters must be a table.")
    program = OwnProgram(code, parameters, Judging.model_validate(about.get("judging", {})))
    report.stop_if_cancelled()
    report.started(_environment(plan, splits, threads), plan.epochs, "epoch")
    loop = ProgramLoop(plan, program, splits, classes, report, Path(trial.scratch))
    if trial.resume is not None:
        path = Path(trial.scratch) / trial.resume.file
        loop.go_on_from(checkpoints.load(path, trial.resume.sha256))
    loop.train()
    return protocol.Result(
        trial=trial.trial,
        fence=trial.fence,
        metrics=loop.results(),
        summary=loop.summary(),
        ended_early=loop.epoch < plan.epochs,
    )


def _splits(trial: TrialToRun, wanted: ModelInput) -> tuple[Splits | None, int]:
    """The splits and how many classes there are; (None, 0) for a model without data."""
    if trial.data is None:
        if wanted.kind != "none":
            raise EntryBroken("this model needs a data set.")
        return None, 0
    toml = loading.verify(trial.data)
    chosen = trial.spec["dataset_parameters"]
    splits, shape = load_splits(trial.data, toml, chosen, wanted)
    return splits, shape.classes


def _environment(plan: ProgramPlan, splits: Splits | None, threads: int) -> Json:
    found: Json = {
        "device": "cpu",
        "device_name": environment.cpu_name(),
        "threads": threads,
        "engine": "program",
        "versions": dict(environment.versions("numpy", "gymnasium")),
        "deterministic": True,
        "seed": plan.seed,
    }
    if splits is not None:
        found["examples"] = {
            name: len(getattr(splits, name).y) for name in ("training", "validation", "test")
        }
        if splits.undivided:
            found["splits"] = UNDIVIDED
    return found
