"""One training run, from a resolved spec to its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from labpool.catalog import Task
from labpool.model_form import Judging, ModelInput
from labpool.parameters import PARAMETERS, Parameter
from worker import protocol
from worker.protocol import CodeReference, TrialToRun
from worker.runner import backend, checkpoints, environment, loading
from worker.runner.examples import UNDIVIDED, load_splits
from worker.runner.fitting import FitNetwork
from worker.runner.kept import Kept, key_of
from worker.runner.layers import Beginning, freeze
from worker.runner.loop import Loop, Plan
from worker.runner.network import Network, check_model
from worker.runner.objective import Objective
from worker.runner.onlooker import Onlooker
from worker.runner.pictures import SamplePictures, Samples, samples_of
from worker.runner.reasons import Diverged, EntryBroken
from worker.runner.report import Report, TrialCancelled, TrialPaused
from worker.runner.resident import ResidentSplits
from worker.wire_types import Json

ENGINES: Final[Mapping[str, type[Network]]] = {"loop": Network, "fit": FitNetwork}
"""What trains, by the name that a spec gives."""


def train(trial: TrialToRun, report: Report, threads: int, kept: Kept) -> protocol.Result:
    """Train, choose by validation, evaluate the test split once. Reports all along.

    `kept` is what this process kept of earlier trials; the result has the same bits without it.

    Raises TrialCancelled, Diverged, Unsuitable, EntryBroken, DigestMismatch, CheckpointBroken,
    GpuTrouble, OSError, and whatever TensorFlow or the catalog's code raises.
    """
    backend.prepare(threads)
    plan = Plan.of(trial.spec)
    device = backend.choose_device(str(trial.spec["device"]))
    splits, network, samples = _load(trial, plan, device, kept)
    report.stop_if_cancelled()
    report.started(environment_of(plan, network, splits, device, threads), plan.epochs, "epoch")
    scratch = Path(trial.scratch)
    onlooker = Onlooker(splits, network, report, scratch)
    if samples is not None:
        onlooker.pictures = SamplePictures(samples, plan.epochs, plan.seed, device, scratch)
    loop = Loop(plan, network, splits, report, scratch, onlooker)
    beginning = Beginning.of(network.model, trial.spec, read_checkpoint(trial, trial.origin))
    try:
        beginning.give_to(network.model)
        if (saved := read_checkpoint(trial, trial.resume)) is not None:
            loop.go_on_from(saved)
        elif beginning.taken or beginning.frozen:
            print(beginning.told(), flush=True)  # noqa: T201 - for people who watch the log
        frozen = beginning.digest_of_frozen(network.model)
        loop.train()
        beginning.check_frozen(network.model, frozen)
        metrics = loop.results()
        seen = onlooker.tell(int(metrics["best_epoch"]))
    except (TrialCancelled, TrialPaused, Diverged):
        raise
    except BaseException:
        kept.forget()
        raise
    return protocol.Result(
        trial=trial.trial,
        fence=trial.fence,
        metrics=metrics,
        summary={**loop.summary(), **beginning.summary(network.model), **seen},
        ended_early=loop.epoch < plan.epochs,
    )


def read_checkpoint(
    trial: TrialToRun, named: protocol.Resume | protocol.Origin | None
) -> checkpoints.Checkpoint | None:
    """A checkpoint that the slot has put into the scratch folder. Raises CheckpointBroken."""
    if named is None:
        return None
    return checkpoints.load(Path(trial.scratch) / named.file, named.sha256)


@dataclass(frozen=True)
class Prepared:
    """What a trial's network is made of: its data, the model's code, and how it is judged."""

    splits: ResidentSplits
    objective: Objective
    build: Callable[[], Any]
    build_of: Callable[[Json], Any]
    """The same for other parameters of the model."""
    declared: Mapping[str, Parameter]
    """The parameters that the model has."""
    samples: Samples | None
    key_of: Callable[[Any], str]
    """Of everything that is frozen into a trace, with these as the model's parameters."""
    key: str
    """The same with the trial's own parameters."""


def prepare(trial: TrialToRun, plan: Plan, device: backend.Device, kept: Kept) -> Prepared:
    """Load a trial's data and code. Raises what `train` raises."""
    reference, chosen = trial.data, trial.spec["dataset_parameters"]
    if reference is None or not isinstance(chosen, dict):
        raise EntryBroken("a training run needs a data set.")
    data_toml = loading.verify(reference)
    model_folder = loading.verify(trial.code)
    model_toml = loading.read_toml(model_folder / "model.toml")
    wanted = ModelInput.model_validate(model_toml["input"])
    task: Task = model_toml.get("task", "classification")
    splits = kept.splits(
        key_of(reference.digest, chosen, wanted.model_dump(), task, device),
        # Data sets have seeds of their own; the trial's seed begins with the model.
        lambda: _splits(reference, data_toml, chosen, wanted, task, device),
    )
    code = loading.load(trial.code, model_folder / "model.py", "build")
    judging = Judging.model_validate(model_toml.get("judging", {}))
    parameters: Any = trial.spec["parameters"]
    objective = Objective.of(code, parameters, judging, task)

    frozen: Any = trial.spec.get("freeze", [])

    def build_of(chosen: Json) -> Any:
        with backend.on(device):
            model = code.build(chosen, splits.shape)
            check_model(model, splits.shape, objective)
            freeze(model, frozen)
            return model

    def key(chosen: Any) -> str:
        architecture = (trial.code.digest, chosen, asdict(splits.shape))
        return key_of(*architecture, plan.optimizer, plan.batch_size, device, plan.engine, frozen)

    return Prepared(
        splits, objective, partial(build_of, parameters), build_of,
        PARAMETERS.validate_python(model_toml.get("parameters", {})),
        samples_of(code, model_toml, parameters), key, key(parameters),
    )  # fmt: skip


def _load(
    trial: TrialToRun, plan: Plan, device: backend.Device, kept: Kept
) -> tuple[ResidentSplits, Network, Samples | None]:
    found = prepare(trial, plan, device, kept)
    network = kept.network(
        found.key,
        plan.seed,
        found.build,
        lambda model: ENGINES[plan.engine](
            model,
            plan.optimizer,
            plan.batch_size,
            device,
            found.objective,
            found.splits.training.target,
        ),
    )
    return found.splits, network, found.samples


def _splits(
    reference: CodeReference, toml: Path, parameters: Json, wanted: ModelInput, task: Task,
    device: backend.Device,
) -> ResidentSplits:  # fmt: skip
    splits, shape = load_splits(reference, toml, parameters, wanted, task)
    return ResidentSplits.of(splits, shape, device)


def environment_of(
    plan: Plan, network: Any, splits: ResidentSplits, device: backend.Device, threads: int
) -> Json:
    """What a result was made with."""
    return {
        "device": device,
        "device_name": backend.gpu_name() if device == "gpu" else environment.cpu_name(),
        "threads": threads,
        "engine": plan.engine,
        "versions": dict(environment.versions("tensorflow", "keras", "numpy")),
        "deterministic": True,
        "seed": plan.seed,
        "parameter_count": network.parameter_count(),
        "input_shape": list(splits.shape.shape),
        "examples": {
            "training": splits.training.count,
            "validation": splits.validation.count,
            "test": splits.test.count,
        },
        **({"splits": UNDIVIDED} if splits.undivided else {}),
    }
