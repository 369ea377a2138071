"""Users' own kernels: honest ones are timed, and none that cheats comes to a result.

They run on a fake GPU in a process as the referee starts it, behind its real fence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import own_cheating
from tests.support.cuda.fake_device import host_compiler
from tests.support.cuda.own_fake import LAUNCH_S, MAKE, TIMED, with_cheat
from tests.support.own_kernels import SAXPY
from tests.support.reports import Quiet
from tests.support.runners import CATALOG, reference_to
from worker.runner import loading, own_process
from worker.runner.benchmark import FUNCTIONS, Plan
from worker.runner.cuda_target import compile_options
from worker.runner.own_benchmark import Means, Task, compiler_apart, measure_own, runs_of
from worker.runner.reasons import CompileError, GpuTrouble, WrongResult

PLAN = Plan({"n": TIMED}, "float32", "one_each", {"threads": 64}, "gpu", 1, 10)


@pytest.fixture(scope="module")
def kernel() -> Any:
    entry = CATALOG.kernels["saxpy"]
    return loading.load(reference_to(entry), entry.path / "reference.py", *FUNCTIONS)


def measured(
    kernel: Any, text: str = SAXPY, make: str = MAKE, report: Quiet | None = None
) -> tuple[dict[str, float], dict[str, Any]]:
    task, seen = Task(kernel, PLAN, 1e-6, text), []
    quiet = report or Quiet()
    metrics, summary = measure_own(task, quiet.report, seen.append, Means(make, host_compiler))
    assert [about["name"] for about in seen] == ["Fake GPU"]
    return metrics, dict(summary)


def test_it_works(kernel: Any) -> None:
    report = Quiet()
    metrics, summary = measured(kernel, report=report)
    assert metrics["samples"] >= 10
    assert 1e3 * LAUNCH_S <= metrics["median_ms"] < 30e3 * LAUNCH_S
    assert 0 <= metrics["max_relative_error"] <= 1e-6
    assert summary["own_source"] is True
    assert summary["referee"]["verdict"] == "possible"
    for clock in summary["referee_clock"].values():
        assert clock["unexplained_ms"] <= clock["slack_ms"]
    assert summary["again_ms"] >= 1e3 * LAUNCH_S
    assert summary["gpu"]["uuid"] == "GPU-fake"
    assert summary["timing"]["cold"]["samples"] == metrics["samples"]
    assert report.done == sorted(report.done)
    assert report.done[-1] == runs_of(PLAN)
    [curve] = report.curves
    assert len(curve["sample_ms"]) == metrics["samples"]


@pytest.mark.parametrize("what", own_cheating.CHEATS)
def test_a_source_that_cheats_does_not_rank(kernel: Any, what: str) -> None:
    with pytest.raises(WrongResult, match=r"element|relative error"):
        measured(kernel, own_cheating.CHEATS[what])


def test_what_is_written_beside_an_array_is_seen(kernel: Any) -> None:
    with pytest.raises(WrongResult, match="writes to output behind its end"):
        measured(kernel, own_cheating.BESIDE)


@pytest.mark.parametrize(
    ("source", "says"),
    [(own_cheating.BEYOND, "broke off"), (own_cheating.ENDLESS, "did not end in time")],
)
def test_a_fault_is_the_kernels_when_the_gpu_passes(kernel: Any, source: str, says: str) -> None:
    with pytest.raises(WrongResult, match=f"{says}.*The GPU passed a known kernel since"):
        measured(kernel, source)


def test_another_entry_than_the_variants_is_refused(kernel: Any) -> None:
    with pytest.raises(CompileError, match="defines no saxpy, which the variant one_each"):
        measured(kernel, SAXPY.replace("saxpy(", "saxpy_wide("))


def test_a_variant_without_source_is_refused() -> None:
    entry = CATALOG.kernels["copy"]
    copy: Any = loading.load(reference_to(entry), entry.path / "reference.py", *FUNCTIONS)
    plan = Plan({"n": 1000}, "float32", "by_driver", {"threads": 64}, "gpu", 1, 10)
    with pytest.raises(CompileError, match="is the driver's own copy and launches none"):
        measure_own(Task(copy, plan, 0.0, SAXPY), Quiet.of(), lambda _: None)


@pytest.mark.parametrize(
    ("cheat", "says"),
    [
        ("lies_about_time", "referee's clock saw"),
        ("works_on_another_stream", "referee's clock saw"),
        ("works_when_it_is_fetched", "referee's clock saw"),
        ("works_before_it_is_asked", "referee's clock saw"),
        ("tells_the_impossible", "referee's clock saw"),
        ("tells_more_than_passed", "told of 3.6e.06 ms for a run that took"),
        ("tells_no_number", "seconds is nan"),
        ("replays", "element|relative error"),
        ("skips_the_work", "element"),
        ("breaks_off", "broke off"),
        ("talks_too_much", "a message of 4294967295 bytes"),
        ("talks_in_riddles", "a message that is no JSON"),
    ],
)
def test_a_process_that_was_taken_over_does_not_rank(kernel: Any, cheat: str, says: str) -> None:
    with pytest.raises(WrongResult, match=says):
        measured(kernel, make=with_cheat(cheat))


def test_who_never_answers_is_ended(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_process, "RUN_S", 3.0)
    with pytest.raises(WrongResult, match="did not end in time"):
        measured(kernel, make=with_cheat("says_nothing"))


def test_it_cannot_get_out(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABPOOL_DATABASE_URL", "postgresql://somebody:secret@host/pool")
    with pytest.raises(WrongResult) as told:
        measured(kernel, make=with_cheat("looks_around"))
    came = json.loads(told.value.detail)
    environment, streams = came.pop("environment").split(), came.pop("streams").split()
    assert set(came.values()) == {"refused"}, came
    assert "LABPOOL_DATABASE_URL" not in environment
    assert streams == ["/dev/null"] * 3


def test_without_a_gpu_it_is_the_gpu_that_is_missing(kernel: Any) -> None:
    make = "from tests.support.cuda.own_fake import missing as make"
    with pytest.raises(GpuTrouble, match="there is none"):
        measured(kernel, make=make)


@pytest.mark.parametrize("what", ["honest", *own_cheating.CHEATS])
def test_they_are_sources_that_the_compiler_takes(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    text = own_cheating.CHEATS.get(what, SAXPY)
    compiled = compiler_apart(text, "own.cu", "sm_90", compile_options("float32"))
    assert compiled.cubin[:4] == b"\x7fELF"
    assert "saxpy" in compiled.kernels


def test_a_file_of_the_host_is_not_compiled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CompileError) as refused:
        compiler_apart(
            '#include "/etc/passwd"\n' + SAXPY, "own.cu", "sm_90", compile_options("float32")
        )
    assert "root:" not in str(refused.value)
