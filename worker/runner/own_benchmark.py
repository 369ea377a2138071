"""A user's own source for a catalog kernel's signature, judged from outside of its process.

Here lie the seeds, the inputs, the answers and the clock that counts. Every timed run has inputs
that were never used before, and its whole output is compared. Then all is done again, with another
secret seed, in a process that knows nothing of the first.
"""

from __future__ import annotations

import dataclasses
import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labpool.own_source import digest_in, entries, own_source
from labpool.sdk import Arrays, Launch, Sizes
from worker.runner import judging, own_wire, peaks, physics, timing
from worker.runner.compiling import CompiledKernel, cache_folder, compile_apart
from worker.runner.cuda_target import compile_options
from worker.runner.launch_limits import TooLarge, unsuitable
from worker.runner.own_clock import Clocked, rule_on_clock
from worker.runner.own_process import ON_GPU, OwnProcess, Placement
from worker.runner.physics import Peaks
from worker.runner.reasons import CompileError, EntryBroken, WrongResult
from worker.runner.report import Report
from worker.wire_types import Json

FILE: Final = "own.cu"
"""In the trial's scratch folder, where the slot puts it; and the name in messages."""
WARM_UPS: Final = 3
BUDGET_S: Final = 5.0
MOST_SAMPLES: Final = 1000
"""Each costs its reference an answer."""
LEAST_AGAIN: Final = 5
LEAST_IDLES, MOST_IDLES, IDLE_BUDGET_S = 8, 40, 1.0
MOST_POINTS: Final = 500

Compiler = Callable[[str, str, str, Sequence[str]], CompiledKernel]


def compiler_apart(
    source: str, name: str, architecture: str, options: Sequence[str]
) -> CompiledKernel:
    """Behind the compiler's fence, which a user's source never goes without."""
    return compile_apart(source, name, architecture, options, cache_folder())


@dataclass(frozen=True)
class Means:
    """How a process comes by its device, and who compiles: tests have other ones."""

    make: str = ON_GPU
    compiler: Compiler = compiler_apart


@dataclass(frozen=True)
class Task:
    """What is to be judged: a kernel's reference, a plan and the text of the source."""

    kernel: Any
    plan: Any
    tolerance: float
    text: str


@dataclass(frozen=True)
class Round:
    """What one process came to."""

    about: Json
    peaks: Peaks
    idle: list[Clocked]
    runs: list[Clocked]
    worst: float


def read_source(spec: Json, scratch: Path) -> str | None:
    """The text of the source that a spec names; None when the catalog's runs.

    Raises EntryBroken when the slot did not bring what was submitted.
    """
    name = own_source(spec)
    if name is None:
        return None
    data = (scratch / FILE).read_bytes()
    if sha256(data).hexdigest() != digest_in(name):
        raise EntryBroken(f"{FILE} is not the source that the spec names.")
    return data.decode()


def measure_own(
    task: Task, report: Report, started: Callable[[Json], None], means: Means | None = None
) -> tuple[dict[str, float], Json]:
    """The result's metrics and summary. `started` hears what the device is.

    Raises WrongResult, CompileError, Unsuitable, NotPrepared, GpuTrouble, TrialCancelled, and
    EntryBroken.
    """
    means = means or Means()
    _require_entries(task)
    with OwnProcess(means.make) as first:
        about = first.hello()
        started(about)
        compiled = _compiled(task, about, means)
        judge = _Judge(task, report, first, already=0, least=task.plan.samples)
        found = _guarded(judge, means, first, compiled, about)
    _report_curve(found.runs, report)
    with OwnProcess(means.make) as second:
        # Again: what depends on the seed, on luck or on the first process's leavings shows.
        judge = _Judge(task, report, second, already=task.plan.samples, least=LEAST_AGAIN)
        again = _guarded(judge, means, second, compiled, second.hello())
    report.progress(runs_of(task.plan), at_once=True)
    return _judged(task, compiled, found, again)


def runs_of(plan: Any) -> int:
    """How many timed runs there are at least, in both processes: the total of its progress."""
    return int(plan.samples) + LEAST_AGAIN


def _report_curve(runs: Sequence[Clocked], report: Report) -> None:
    stride = math.ceil(len(runs) / MOST_POINTS)
    steps = range(1, len(runs) + 1, stride)
    values = {"sample_ms": [run.told_s * 1e3 for run in runs[::stride]]}
    # Not soon: what comes next is timed too.
    report.points(steps, [None] * len(steps), values, at_once=True)


def _require_entries(task: Task) -> None:
    defined = entries(task.text)
    steps = task.kernel.launches(task.plan.sizes, task.plan.launch, task.plan.variant).steps
    for step in steps:
        if not isinstance(step, Launch):
            raise CompileError(
                f"source: the variant {task.plan.variant} is the driver's own copy and launches "
                "none; take another variant."
            )
        if step.entry not in defined:
            raise CompileError(
                f"source: defines no {step.entry}, which the variant {task.plan.variant} launches; "
                "define it, or take another variant."
            )


def _compiled(task: Task, about: Json, means: Means) -> CompiledKernel:
    architecture, options = str(about["architecture"]), compile_options(task.plan.dtype)
    return means.compiler(task.text, FILE, architecture, options)


def _guarded(
    judge: _Judge, means: Means, process: OwnProcess, compiled: CompiledKernel, about: Json
) -> Round:
    """One round; where it breaks off, a known kernel tells whether the GPU is at fault."""
    itemsize, options = np.dtype(judge.dtype).itemsize, compile_options(judge.dtype)
    ours = means.compiler(peaks.SOURCE, peaks.NAME, str(about["architecture"]), options)
    measured = process.peaks(ours.cubin, itemsize)
    idle = judge.idle()
    try:
        process.load(compiled.cubin)
        return judge.round(about, measured, idle)
    except (own_wire.Broken, own_wire.Late) as error:
        process.end()
        _require_healthy(means, ours.cubin, itemsize)
        if isinstance(error, own_wire.Late):
            why = "did not end in time; look for a loop or a barrier that some threads never leave"
        else:
            why = f"broke off ({error.detail}); look for an access outside of its arrays"
        raise WrongResult(f"The kernel {why}. The GPU passed a known kernel since.") from None


def _require_healthy(means: Means, image: bytes, itemsize: int) -> None:
    """Raises GpuTrouble when a known kernel fails too, in a process of its own."""
    with OwnProcess(means.make) as probe:
        probe.hello()
        probe.peaks(image, itemsize)


class _Judge:
    """One process's runs: inputs from a secret seed, answers compared, times noted."""

    def __init__(
        self, task: Task, report: Report, process: OwnProcess, already: int, least: int
    ) -> None:
        self._task, self._report, self._process = task, report, process
        self._already, self._least, self._worst = already, least, 0.0

    @property
    def dtype(self) -> str:
        """The kernel's element type."""
        return str(self._task.plan.dtype)

    def idle(self) -> list[Clocked]:
        """What a run takes beside its kernel, in a process that is still as good as this one."""
        plan, kernel = self._task.plan, self._task.kernel
        inputs = kernel.inputs(plan.sizes, plan.dtype, secrets.randbits(62))
        nothing = self._placement(plan.sizes).idle()
        self._process.run(nothing, inputs)
        found: list[Clocked] = []
        deadline = time.monotonic() + IDLE_BUDGET_S
        while len(found) < LEAST_IDLES or (len(found) < MOST_IDLES and time.monotonic() < deadline):
            self._report.stop_if_cancelled()
            found.append(self._process.run(nothing, inputs)[1])
        return found

    def round(self, about: Json, measured: Peaks, idle: list[Clocked]) -> Round:
        """Right at every edge; then timed, each run on inputs of its own and compared in full."""
        task, plan = self._task, self._task.plan
        self._worst = judging.check_edges(
            task.kernel, self._compute, plan.launch, plan.dtype, task.tolerance,
            secrets.randbits(62),
        )  # fmt: skip
        for _ in range(WARM_UPS):
            self._sample()
        runs: list[Clocked] = []
        deadline = time.monotonic() + BUDGET_S
        while len(runs) < self._least or (
            len(runs) < MOST_SAMPLES
            and time.monotonic() < deadline
            and not timing.is_settled([run.told_s for run in runs])
        ):
            runs.append(self._sample())
            self._report.progress(self._already + min(len(runs), self._least))
        return Round(about, measured, idle, runs, self._worst)

    def _compute(self, sizes: Sizes, inputs: Arrays) -> NDArray[Any]:
        self._report.stop_if_cancelled()
        return self._run(sizes, inputs)[0]

    def _sample(self) -> Clocked:
        self._report.stop_if_cancelled()
        task, plan = self._task, self._task.plan
        inputs = task.kernel.inputs(plan.sizes, plan.dtype, secrets.randbits(62))
        output, clocked = self._run(plan.sizes, inputs)
        case = f"{judging.named(plan.sizes)}, a timed run"
        error = judging.error_of(output, task.kernel.expected(inputs), task.tolerance, case)
        self._worst = max(self._worst, error)
        return clocked

    def _run(self, sizes: Sizes, inputs: Arrays) -> tuple[NDArray[Any], Clocked]:
        try:
            return self._process.run(self._placement(sizes), inputs)
        except TooLarge as error:
            kernel, plan = self._task.kernel, self._task.plan
            raise unsuitable(error, kernel, sizes, plan.launch, plan.variant) from None

    def _placement(self, sizes: Sizes) -> Placement:
        kernel, plan = self._task.kernel, self._task.plan
        launches = kernel.launches(sizes, plan.launch, plan.variant)
        return Placement(sizes, kernel.output_shape(sizes), np.dtype(plan.dtype), launches)


def _judged(
    task: Task, compiled: CompiledKernel, found: Round, again: Round
) -> tuple[dict[str, float], Json]:
    plan = task.plan
    told = [run.told_s for run in found.runs]
    measured = timing.summarize(told)
    seconds, best = measured.median_ms / 1e3, found.peaks.best(again.peaks)
    cost = task.kernel.cost(plan.sizes, plan.dtype)
    output = int(np.prod(task.kernel.output_shape(plan.sizes))) * np.dtype(plan.dtype).itemsize
    absorbed = min(output, int(str(found.about["level2_bytes"])))
    # Of both processes: what the host was busy with before and after the runs.
    clocks = rule_on_clock(found.runs, found.idle + again.idle)
    ruling = physics.rule(cost, seconds, best, "gpu", absorbed)
    physics.require_possible(ruling, seconds)
    roofline = physics.roofline(cost, seconds, best)
    metrics = {
        **{name: float(value) for name, value in dataclasses.asdict(measured).items()},
        "gflop_s": cost.operations / seconds / 1e9,
        "gb_s": cost.bytes / seconds / 1e9,
        "percent_of_peak": roofline.percent,
        "max_relative_error": max(found.worst, again.worst),
    }
    gpu = {
        key: found.about[key] for key in ("name", "uuid", "driver", "cuda", "memory_bytes")
    }  # fmt: skip
    summary: Json = {
        "own_source": True,
        "bytes": cost.bytes,
        "operations": cost.operations,
        "tolerance": task.tolerance,
        "settled": timing.is_settled(told),
        "timing": {"cold": dataclasses.asdict(measured), "discarded": 0},
        "again_ms": float(np.median([run.told_s for run in again.runs])) * 1e3,
        "clock": "CUDA events in the kernel's own process, held against the referee's clock",
        "referee_clock": clocks,
        "caches": "cold",
        "roofline": roofline.describe(),
        "referee": ruling.describe(),
        "compile": compiled.describe(),
        "gpu": {**gpu, "before": found.about["reading"], "after": again.about["reading"]},
    }
    return metrics, summary
