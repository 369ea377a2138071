"""One training run, from a resolved spec to its result."""

from __future__ import annotations

from pathlib import Path

from labpool.catalog import ModelInput
from labpool.catalog import Splits as Fractions
from labpool.sdk import Examples
from worker import protocol
from worker.protocol import TrialToRun
from worker.runner import backend, checkpoints, data, environment, loading
from worker.runner.data import Splits
from worker.runner.loop import Loop, Plan
from worker.runner.network import Network, check_model
from worker.runner.reasons import EntryBroken
from worker.runner.report import Report
from worker.wire_types import Json


def train(trial: TrialToRun, report: Report, threads: int) -> protocol.Result:
    """Train, choose by validation, evaluate the test split once. Reports all along.

    Raises TrialCancelled, Diverged, Unsuitable, EntryBroken, DigestMismatch, CheckpointBroken,
    GpuTrouble, OSError, and whatever TensorFlow or the catalog's code raises.
    """
    backend.prepare(threads)
    plan = Plan.of(trial.spec)
    device = backend.choose_device(str(trial.spec["device"]))
    splits, network = _load(trial, plan, device)
    report.stop_if_cancelled()
    report.started(_environment(plan, network, splits, device, threads), plan.epochs, "epoch")
    loop = Loop(plan, network, splits, report, Path(trial.scratch))
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


def _load(trial: TrialToRun, plan: Plan, device: backend.Device) -> tuple[Splits, Network]:
    if trial.data is None:
        raise EntryBroken("a training run needs a data set.")
    data_toml = loading.verify(trial.data)
    model_folder = loading.verify(trial.code)
    about_data = loading.read_toml(data_toml)
    wanted = ModelInput.model_validate(loading.read_toml(model_folder / "model.toml")["input"])

    # Data sets have seeds of their own; the trial's seed begins with the model.
    dataset = loading.load(trial.data, data_toml.with_suffix(".py"), "load")
    examples = dataset.load(trial.spec["dataset_parameters"])
    data.check(examples, about_data["kind"])
    x, kind = data.fit_to_model(examples.x, about_data["kind"], wanted)
    shape = data.shape_of(x, kind, examples.classes)
    splits = data.split(
        Examples(x, examples.y, examples.classes),
        Fractions.model_validate(about_data["splits"]),
    )

    backend.reset(plan.seed)
    code = loading.load(trial.code, model_folder / "model.py", "build")
    with backend.on(device):
        model = code.build(trial.spec["parameters"], shape)
        check_model(model, shape)
        return splits, Network(model, plan.optimizer, plan.batch_size, splits.training, device)


def _environment(
    plan: Plan, network: Network, splits: Splits, device: backend.Device, threads: int
) -> Json:
    return {
        "device": device,
        "device_name": backend.gpu_name() if device == "gpu" else environment.cpu_name(),
        "threads": threads,
        "versions": dict(environment.versions("tensorflow", "keras", "numpy")),
        "deterministic": True,
        "seed": plan.seed,
        "parameter_count": network.parameter_count(),
        "input_shape": list(splits.training.x.shape[1:]),
        "examples": {
            "training": len(splits.training.y),
            "validation": len(splits.validation.y),
            "test": len(splits.test.y),
        },
    }
