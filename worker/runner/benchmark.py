"""One benchmark: right before fast, then timed, then checked again."""

from __future__ import annotations

import dataclasses
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from labpool.sdk import Arrays, Cost, DTypeName, Sizes
from worker import protocol
from worker.protocol import TrialToRun
from worker.runner import environment, judging, kernel_pictures, loading, physics, timing
from worker.runner.own_benchmark import Task, measure_own, read_source, runs_of
from worker.runner.reasons import EntryBroken
from worker.runner.report import Report
from worker.runner.sampling import Samples, take_batches, take_samples
from worker.runner.targets import CpuTarget, Target
from worker.wire_types import Json

MOST_LOOKS = 3
"""Times that peaks are measured before a time is called impossible."""
FUNCTIONS = ("inputs", "output_shape", "expected", "baseline", "cost", "launches", "edge_sizes")


def choose_device(wanted: str) -> str:
    """Where a benchmark's `device` (any, cpu, gpu) is to run; only `any` is a choice."""
    if wanted != "any":
        return wanted
    sees_gpu = bool(os.environ.get("CUDA_VISIBLE_DEVICES"))
    return "gpu" if sees_gpu and find_spec("pycuda") is not None else "cpu"


@dataclass(frozen=True)
class Plan:
    """The part of a resolved benchmark spec that the harness reads."""

    sizes: Sizes
    dtype: DTypeName
    variant: str
    launch: Mapping[str, int]
    device: str
    seed: int
    samples: int

    @classmethod
    def of(cls, spec: Mapping[str, Any], variants: Sequence[str]) -> Plan:
        """From a spec in which every default is filled in."""
        # Specs that were stored before there was a choice have none.
        filled = {"variant": variants[0], **spec}
        return cls(**{field.name: filled[field.name] for field in dataclasses.fields(cls)})


def benchmark(trial: TrialToRun, report: Report, threads: int) -> protocol.Result:
    """Check, time and check again. Raises WrongResult, GpuTrouble, TrialCancelled, and others."""
    folder = loading.verify(trial.code)
    about = loading.read_toml(folder / "kernel.toml")
    plan = Plan.of(trial.spec, [*about["variants"]])
    kernel: Any = loading.load(trial.code, folder / "reference.py", *FUNCTIONS)
    tolerance = about["tolerance"].get(plan.dtype)
    if tolerance is None:
        raise EntryBroken(f"kernel.toml has no tolerance for {plan.dtype}.")
    text = read_source(trial.spec, Path(trial.scratch))
    if text is not None:
        return _of_own_source(trial, Task(kernel, plan, float(tolerance), text), report, threads)
    target = _target(kernel, folder, plan)
    try:
        report.started(_environment(target, threads), plan.samples, "sample")
        metrics, summary = measure(kernel, target, plan, float(tolerance), report)
        kernel_pictures.keep(
            kernel, target.compute, plan.dtype, float(tolerance), Path(trial.scratch), report
        )
    finally:
        target.close()
    return protocol.Result(
        trial=trial.trial, fence=trial.fence, metrics=metrics, summary=summary, ended_early=False
    )


def _of_own_source(trial: TrialToRun, task: Task, report: Report, threads: int) -> protocol.Result:
    """A user's own source: this process only asks, compares and keeps the clock."""

    def started(about: Json) -> None:
        seen: dict[str, Any] = {"device": "gpu", "device_name": about["name"], "own_source": True}
        report.started({**_surroundings(threads), **seen}, runs_of(task.plan), "sample")

    metrics, summary = measure_own(task, report, started)
    return protocol.Result(
        trial=trial.trial, fence=trial.fence, metrics=metrics, summary=summary, ended_early=False
    )


def measure(
    kernel: Any, target: Target, plan: Plan, tolerance: float, report: Report
) -> tuple[dict[str, float], Json]:
    """The result's metrics and summary. Raises WrongResult, GpuTrouble, TrialCancelled."""
    secret = secrets.randbits(32)

    def drawn() -> Arrays:
        nonlocal secret
        secret = secrets.randbits(32)
        inputs: Arrays = kernel.inputs(plan.sizes, plan.dtype, secret)
        return inputs

    worst = max(
        judging.check_edges(kernel, target.compute, plan.launch, plan.dtype, tolerance, seed)
        for seed in (plan.seed, secret)
    )
    report.stop_if_cancelled()
    inputs = drawn()
    case = f"{judging.named(plan.sizes)}, seed {secret}"
    # The reference costs more than the kernel: one answer serves all runs on the same inputs.
    expected = kernel.expected(inputs)
    found = target.compute(plan.sizes, inputs)
    worst = max(worst, judging.error_of(found, expected, tolerance, case))
    report.stop_if_cancelled()

    cost: Cost = kernel.cost(plan.sizes, plan.dtype)
    target.load(plan.sizes, inputs, drawn)
    alone = take_samples(target, plan.samples, report)
    typical_s = timing.summarize(alone.seconds).median_ms / 1e3
    batch = take_batches(target, typical_s, report, plan.samples)
    report.stop_if_cancelled()
    for run in target.timed_runs():
        answer = expected if run.inputs is inputs else kernel.expected(run.inputs)
        case = f"{judging.named(plan.sizes)}, after timing"
        worst = max(worst, judging.error_of(run.output, answer, tolerance, case))
    metrics, summary = judged(target, plan, cost, found.nbytes, alone, batch)
    return {**metrics, "max_relative_error": worst}, {"tolerance": tolerance, **summary}


def judged(
    target: Target, plan: Plan, cost: Cost, output_bytes: int, alone: Samples, batch: Samples
) -> tuple[dict[str, float], Json]:
    """What the times come to. Raises ImpossibleTime."""
    measured, in_batch = timing.summarize(alone.seconds), timing.summarize(batch.seconds)
    seconds = measured.median_ms / 1e3
    absorbed = min(output_bytes, target.absorbs)
    peaks = target.peaks(plan.dtype, cost.bytes)
    for look in range(MOST_LOOKS):
        ruling = physics.rule(cost, seconds, peaks, target.device, absorbed)
        if ruling.possible or look + 1 == MOST_LOOKS:
            break
        peaks = peaks.best(target.peaks(plan.dtype, cost.bytes))
    physics.require_possible(ruling, seconds)
    roofline, about = physics.roofline(cost, seconds, peaks), target.describe()
    metrics = {
        **{name: float(value) for name, value in dataclasses.asdict(measured).items()},
        "batch_ms": in_batch.median_ms,
        "gflop_s": cost.operations / seconds / 1e9,
        "gb_s": cost.bytes / seconds / 1e9,
        "percent_of_peak": roofline.percent,
    }
    transfer = about.get("transfer")
    if isinstance(transfer, dict):
        for name in ("to_device_ms", "from_device_ms"):
            metrics[name] = float(str(transfer[name]))
    summary: Json = {
        "bytes": cost.bytes,
        "operations": cost.operations,
        "settled": timing.is_settled(alone.seconds),
        "timing": {
            target.caches: dataclasses.asdict(measured),
            "batch": dataclasses.asdict(in_batch),
            "discarded": alone.discarded + batch.discarded,
        },
        "roofline": roofline.describe(),
        "referee": ruling.describe(),
        **about,
    }
    return metrics, summary


def _target(kernel: Any, folder: Path, plan: Plan) -> Target:
    if choose_device(plan.device) == "cpu":
        return CpuTarget(kernel)
    from worker.runner.cuda_target import CudaTarget
    from worker.runner.pycuda_device import PycudaDevice

    device = PycudaDevice()
    try:
        return CudaTarget(
            kernel, folder / "kernel.cu", plan.dtype, plan.launch, plan.variant, device
        )
    except BaseException:
        device.close()
        raise


def _environment(target: Target, threads: int) -> Json:
    seen = {"device": target.device, "device_name": target.device_name}
    return {**seen, **_surroundings(threads)}


def _surroundings(threads: int) -> dict[str, Any]:
    return {
        "threads": threads,
        "versions": dict(environment.versions("numpy", "pycuda", "nvidia-cuda-nvrtc-cu12")),
        "deterministic": False,
    }
