"""One benchmark: right before fast, then timed, then checked again."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from labpool.sdk import DTypeName, Sizes
from worker import protocol
from worker.protocol import TrialToRun
from worker.runner import environment, judging, kernel_pictures, loading, timing
from worker.runner.reasons import EntryBroken
from worker.runner.report import Report
from worker.runner.targets import CpuTarget, Target
from worker.wire_types import Json

WARM_UP_S = 0.2
BUDGET_S = 5.0
"""Longest time spent on samples beyond the least number that the spec asks for."""
MOST_SAMPLES = 10_000
MOST_POINTS = 500
"""Points of the curve of samples."""
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


def measure(
    kernel: Any, target: Target, plan: Plan, tolerance: float, report: Report
) -> tuple[dict[str, float], Json]:
    """The result's metrics and summary. Raises WrongResult, TrialCancelled."""
    worst = judging.check_edges(
        kernel, target.compute, plan.launch, plan.dtype, tolerance, plan.seed
    )
    report.stop_if_cancelled()
    case = judging.named(plan.sizes)
    inputs = kernel.inputs(plan.sizes, plan.dtype, plan.seed)
    # The reference costs more than the kernel: once is enough for both comparisons.
    expected = kernel.expected(inputs)
    found = target.compute(plan.sizes, inputs)
    worst = max(worst, judging.error_of(found, expected, tolerance, case))
    report.stop_if_cancelled()

    target.load(plan.sizes, inputs)
    samples_s = take_samples(target, plan.samples, report)
    after = judging.error_of(target.output(), expected, tolerance, f"{case}, after timing")
    measured = timing.summarize(samples_s)
    cost = kernel.cost(plan.sizes, plan.dtype)
    seconds = measured.median_ms / 1e3
    metrics = {
        **{name: float(value) for name, value in dataclasses.asdict(measured).items()},
        "gflop_s": cost.operations / seconds / 1e9,
        "gb_s": cost.bytes / seconds / 1e9,
        "max_relative_error": max(worst, after),
    }
    summary: Json = {
        "bytes": cost.bytes,
        "operations": cost.operations,
        "tolerance": tolerance,
        "settled": timing.is_settled(samples_s),
        **target.describe(),
    }
    return metrics, summary


def _target(kernel: Any, folder: Path, plan: Plan) -> Target:
    if choose_device(plan.device) == "cpu":
        return CpuTarget(kernel)
    from worker.runner.cuda_target import CudaTarget

    return CudaTarget(kernel, folder / "kernel.cu", plan.dtype, plan.launch, plan.variant)


def take_samples(
    target: Target, least: int, report: Report, clock: Callable[[], float] = time.monotonic
) -> list[float]:
    """Seconds of each sample: `least` of them, then more until settled or BUDGET_S is spent."""
    warm_until = clock() + WARM_UP_S
    target.sample()
    while clock() < warm_until:
        target.sample()
    deadline = clock() + BUDGET_S
    samples_s: list[float] = []
    while len(samples_s) < least or (
        len(samples_s) < MOST_SAMPLES and clock() < deadline and not timing.is_settled(samples_s)
    ):
        report.stop_if_cancelled()
        samples_s.append(target.sample())
        if len(samples_s) <= least:
            report.progress(len(samples_s))
    _report_curve(samples_s, report)
    return samples_s


def _report_curve(samples_s: list[float], report: Report) -> None:
    # After the last sample: a message in between would disturb the next one.
    stride = math.ceil(len(samples_s) / MOST_POINTS)
    for index in range(0, len(samples_s), stride):
        report.metrics(index + 1, None, {"sample_ms": samples_s[index] * 1e3})


def _environment(target: Target, threads: int) -> Json:
    return {
        "device": target.device,
        "device_name": target.device_name,
        "threads": threads,
        "versions": dict(environment.versions("numpy", "pycuda", "nvidia-cuda-nvrtc-cu12")),
        "deterministic": False,
    }
