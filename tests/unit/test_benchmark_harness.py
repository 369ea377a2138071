"""Right before fast; then samples, medians and their spread."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labpool.sdk import Arrays, Expected, Sizes
from tests.support.heard import Slot
from tests.support.runners import CATALOG, reference_to
from worker.protocol import Points, Progress
from worker.runner import benchmark, judging, loading, targets, timing
from worker.runner.benchmark import FUNCTIONS, Plan, measure
from worker.runner.physics import Peaks
from worker.runner.reasons import WrongResult
from worker.runner.sampling import take_batches, take_samples
from worker.runner.targets import CpuTarget, Fresh, Run

LAUNCH = {"warps": 8}
PLAN = Plan(
    {"outputs": 40, "inputs": 50, "batch": 3}, "float32", "warp_per_row", LAUNCH, "cpu", 1, 10
)


@pytest.fixture(scope="module")
def kernel() -> Any:
    entry = CATALOG.kernels["dense_relu"]
    return loading.load(reference_to(entry), entry.path / "reference.py", *FUNCTIONS)


@pytest.fixture
def slot() -> Iterator[Slot]:
    slot = Slot()
    yield slot
    slot.close()


class FakeTarget(CpuTarget):
    """A device whose times are given and whose answers can be spoilt."""

    def __init__(
        self,
        kernel: Any,
        seconds: Iterator[float],
        spoil: Callable[[NDArray[Any]], NDArray[Any]] = lambda output: output,
        spoil_timed: Callable[[NDArray[Any]], NDArray[Any]] = lambda output: output,
    ) -> None:
        super().__init__(kernel)
        self._kernel, self._seconds = kernel, seconds
        self._spoil, self._spoil_timed = spoil, spoil_timed
        self.samples = 0

    def compute(self, sizes: Sizes, inputs: Arrays) -> NDArray[Any]:
        return self._spoil(self._kernel.baseline(inputs))

    def load(self, sizes: Sizes, inputs: Arrays, fresh: Fresh) -> None:
        self._inputs = inputs

    def sample(self) -> float:
        self.samples += 1
        return next(self._seconds)

    def batch(self, runs: int) -> float:
        return next(self._seconds)

    def timed_runs(self) -> Iterable[Run]:
        return [Run(self._inputs, self._spoil_timed(self._kernel.baseline(self._inputs)))]

    def peaks(self, dtype: str, footprint: int) -> Peaks:
        return Peaks(1e9, 1e9)


class Clock:
    """Goes on by a step at each look."""

    def __init__(self, step_s: float) -> None:
        self._now, self._step_s = 0.0, step_s

    def __call__(self) -> float:
        self._now += self._step_s
        return self._now


def test_a_timing_says_median_interval_and_spread() -> None:
    found = timing.summarize([n / 1000 for n in range(1, 102)])
    assert (found.samples, found.median_ms) == (101, 51.0)
    assert (found.p5_ms, found.p95_ms) == (pytest.approx(6.0), pytest.approx(96.0))
    # The binomial ranks for 101 samples are 41 and 61.
    assert (found.median_low_ms, found.median_high_ms) == (41.0, 61.0)
    assert found.noise_percent == pytest.approx(100 * np.std(range(1, 102), ddof=1) / 51)


@pytest.mark.parametrize(
    ("count", "ranks"), [(2, (0, 1)), (5, (0, 4)), (6, (0, 5)), (9, (1, 7)), (100, (39, 60))]
)
def test_ranks_of_the_median(count: int, ranks: tuple[int, int]) -> None:
    # The tables of W. J. Conover, Practical Nonparametric Statistics, counted from 0.
    assert timing.median_interval(count) == ranks


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(500):
        found = timing.summarize(random.exponential(1.0, 30))
        inside += found.median_low_ms <= np.log(2) * 1e3 <= found.median_high_ms
    assert inside >= 465  # 95 % of 500, less two standard deviations


def test_the_least_number_of_samples_is_taken(slot: Slot, kernel: Any) -> None:
    target = FakeTarget(kernel, itertools.repeat(0.001))
    samples = take_samples(target, 12, slot.report, Clock(0.3)).seconds
    assert samples == [0.001] * 12


def test_noisy_samples_go_on_until_the_budget_is_spent(slot: Slot, kernel: Any) -> None:
    target = FakeTarget(kernel, itertools.cycle([0.001, 0.003]))
    samples = take_samples(target, 10, slot.report, Clock(0.25)).seconds
    assert 10 < len(samples) < 30


def test_samples_stop_when_they_say_nothing_new(slot: Slot, kernel: Any) -> None:
    random = np.random.default_rng(0)
    noise = (0.001 * (1 + 0.05 * random.standard_normal()) for _ in itertools.count())
    samples = take_samples(FakeTarget(kernel, noise), 10, slot.report, Clock(1e-6)).seconds
    # 5 % noise over the square root of n falls below 0.5 % at about n = 100.
    assert 60 < len(samples) < 160


def test_there_is_a_warm_up_that_is_not_counted(slot: Slot, kernel: Any) -> None:
    target = FakeTarget(kernel, itertools.chain([9.0], itertools.repeat(0.001)))
    assert max(take_samples(target, 10, slot.report, Clock(0.05)).seconds) == 0.001
    assert target.samples > 11


def test_the_curve_is_thinned(slot: Slot, kernel: Any) -> None:
    target = FakeTarget(kernel, itertools.cycle([0.001, 0.003]))
    samples = take_samples(target, 1300, slot.report, Clock(6.0)).seconds
    assert len(samples) == 1300
    [points] = slot.heard(Points)
    assert 400 <= len(points.steps) <= 500
    assert points.steps[:2] == (1, 4)
    assert set(points.values["sample_ms"]) == {1.0, 3.0} and points.epochs[0] is None


def test_progress_reaches_its_total(slot: Slot, kernel: Any) -> None:
    slot.report.started({}, 10, "sample")
    take_samples(FakeTarget(kernel, itertools.repeat(0.001)), 10, slot.report, Clock(0.3))
    assert slot.heard(Progress)[-1].done == 10


def test_a_right_kernel_is_measured(slot: Slot, kernel: Any) -> None:
    target = FakeTarget(kernel, itertools.repeat(0.002))
    metrics, summary = measure(kernel, target, PLAN, 1e-5, slot.report)
    assert metrics["median_ms"] == pytest.approx(2.0)
    assert metrics["gflop_s"] == pytest.approx(2 * 3 * 40 * 51 / 0.002 / 1e9)
    elements = 40 * 50 + 3 * 50 + 40 + 3 * 40
    assert metrics["gb_s"] == pytest.approx(4 * elements / 0.002 / 1e9)
    assert summary["settled"] is True
    times: Any = summary["timing"]
    assert set(times) == {"warm", "batch", "discarded"}
    # 1 GB/s and 1 GFLOP/s: with more operations than bytes, arithmetic is the limit.
    roofline: Any = summary["roofline"]
    assert roofline["limit"] == "arithmetic"
    assert metrics["percent_of_peak"] == pytest.approx(100 * metrics["gflop_s"])
    assert "transfer" not in summary and "to_device_ms" not in metrics


def test_batches_are_as_long_as_a_clock_asks_for(slot: Slot, kernel: Any) -> None:
    runs: list[int] = []

    class Counting(FakeTarget):
        def batch(self, count: int) -> float:
            runs.append(count)
            return 0.001

    for typical_s, wanted in ((1e-9, 1000), (1e-4, 50), (10.0, 2)):
        runs.clear()
        target = Counting(kernel, itertools.repeat(0.001))
        found = take_batches(target, typical_s, slot.report, 10, Clock(0.01))
        assert found.seconds == [0.001] * 10
        assert runs == [wanted] * 11


def unwritten(output: NDArray[Any]) -> NDArray[Any]:
    output.flat[-1] = np.nan
    return output


def a_little_off(output: NDArray[Any]) -> NDArray[Any]:
    return output * np.float32(1.001)


def without_nan(output: NDArray[Any]) -> NDArray[Any]:
    return np.nan_to_num(output)


def too_small(output: NDArray[Any]) -> NDArray[Any]:
    return output[:-1]


def all_nought(output: NDArray[Any]) -> NDArray[Any]:
    return np.zeros_like(output)


@pytest.mark.parametrize("spoil", [unwritten, a_little_off, without_nan, too_small, all_nought])
def test_a_wrong_kernel_is_never_timed(slot: Slot, kernel: Any, spoil: Any) -> None:
    target = FakeTarget(kernel, itertools.repeat(0.001), spoil)
    with pytest.raises(WrongResult, match="outputs 1, inputs"):
        measure(kernel, target, PLAN, 1e-5, slot.report)
    assert target.samples == 0


def test_a_kernel_that_cheats_while_timed_is_caught(slot: Slot, kernel: Any) -> None:
    target = FakeTarget(kernel, itertools.repeat(0.001), spoil_timed=all_nought)
    with pytest.raises(WrongResult, match="after timing"):
        measure(kernel, target, PLAN, 1e-5, slot.report)


def test_an_error_is_judged_by_what_was_added_up() -> None:
    # 1000 - 999.9999 leaves little; its error counts against the 2000 that went in.
    expected = Expected(np.array([1e-4]), np.array([2000.0]))
    assert judging.error_of(np.array([1.1e-4]), expected, 1e-6, "case") == pytest.approx(5e-9)


def test_infinity_must_stand_where_it_belongs() -> None:
    expected = Expected(np.array([np.inf, 1.0]), np.array([np.inf, 1.0]))
    assert judging.error_of(np.array([np.inf, 1.0]), expected, 1e-6, "case") == 0.0
    for found in ([-np.inf, 1.0], [np.nan, 1.0], [1.0, 1.0], [np.inf, np.inf]):
        with pytest.raises(WrongResult, match="case"):
            judging.error_of(np.array(found), expected, 1e-6, "case")


def test_special_numbers_are_planted_in_copies(kernel: Any) -> None:
    inputs = kernel.inputs(PLAN.sizes, "float32", 1)
    planted = judging.with_specials(inputs, 1)
    for name, array in planted.items():
        assert np.isnan(array).sum() == 1 and np.isinf(array).sum() == 1
        assert np.isfinite(inputs[name]).all()


def test_short_runs_are_bundled_into_samples(kernel: Any) -> None:
    target = CpuTarget(kernel)
    small = {"outputs": 2, "inputs": 2, "batch": 1}
    inputs = kernel.inputs(small, "float32", 1)
    target.load(small, inputs, lambda: inputs)
    assert int(str(target.describe()["runs_per_sample"])) > 10
    assert 0 < target.sample() < 1e-3


def test_a_processor_that_was_busy_elsewhere_makes_no_sample_of_one_run(
    kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that stands still but for a run's microsecond, and 3 ms somebody else's once."""
    now, runs = 0.0, 0

    def baseline(inputs: Any) -> Any:
        nonlocal now, runs
        runs += 1
        now += 1e-6 if runs > 1 else 3e-3
        return inputs

    monkeypatch.setattr("worker.runner.targets.time.perf_counter", lambda: now)
    target = CpuTarget(SimpleNamespace(baseline=baseline))
    target.load({}, {}, dict)
    assert int(str(target.describe()["runs_per_sample"])) >= 500
    # One that is long for certain is not run again to make sure.
    monkeypatch.setattr(targets, "CLEARLY_LONG_S", 1e-3)
    runs = 0
    target.load({}, {}, dict)
    assert runs == 1


def test_any_device_is_a_gpu_only_where_one_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert benchmark.choose_device("any") == "cpu"
    assert benchmark.choose_device("gpu") == "gpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(benchmark, "find_spec", lambda name: object())
    assert benchmark.choose_device("any") == "gpu"
    assert benchmark.choose_device("cpu") == "cpu"
