"""`labpool bench`: what its options stand for, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labpool.benchmarks import Timed, lines_of
from labpool.catalog import Catalog
from labpool.cli import bench_table, options
from labpool.cli.exit_codes import ExitCode
from labpool.client import Experiment, Snapshot, Trial, TrialDetail
from labpool.client.records import TrialList
from labpool.client.spec_files import spec_content
from labpool.own_source import name_of
from labpool.planning import plan
from labpool.settings import CHECKOUT
from tests.support import timed
from tests.support.cli import TRIAL, FakeClient, run
from tests.support.own_kernels import SAXPY

CATALOG = Catalog.load([CHECKOUT / "catalog"])
KERNELS = [
    {"name": entry.name, "details": entry.model_dump(mode="json")}
    for entry in CATALOG.kernels.values()
]
RUNS = {11: (0.05, "one_each"), 12: (0.004, "wide"), 13: (0.0041, "wide")}


class Bench(FakeClient):
    """A service that has timed saxpy in two ways; trial 13 failed."""

    sent: Any = None
    failing = False
    speed_ups: tuple[dict[str, Any], ...] = ()

    def catalog(self) -> dict[str, Any]:
        return {"kernels": KERNELS}

    def submit(
        self, spec: object, idempotency_key: str | None = None, if_duplicate: str = "run"
    ) -> Any:
        type(self).sent = spec
        submission = super().submit(spec)
        submission.trial_ids = tuple(RUNS)[: 3 if self.failing else 2]
        return submission

    def experiment(self, *arguments: object, **more: object) -> Experiment:
        plain = super().experiment(7).model_dump()
        states = {"succeeded": 2, **({"failed": 1} if self.failing else {})}
        counts = {"trial_count": sum(states.values()), "finished_count": sum(states.values())}
        told = {**plain, **counts, "states": states, "speed_ups": self.speed_ups}
        return Experiment.model_validate(told)

    def snapshot(self, experiment_id: int) -> Snapshot:
        trials = TrialList([Trial.model_validate(TRIAL)])
        return Snapshot(experiment=self.experiment(), trials=trials)

    def trial(self, trial_id: int) -> TrialDetail:
        median_ms, variant = RUNS[trial_id]
        found: dict[str, Any] = {
            "id": trial_id, "kind": "benchmark", "ran_on": "gpu",
            "spec": timed.spec(variant=variant), "metrics": timed.metrics(median_ms),
            "summary": timed.summary(median_ms),
            "attempts": [{"environment": {"device_name": "Test \x1b[31mGPU"}}],
        }  # fmt: skip
        if trial_id == 13:
            found.update(state="failed", metrics={}, summary={}, reason="It is wrong.")
        return TrialDetail.model_validate({**TRIAL, **found})


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> type[Bench]:
    made = type("BenchOfOneTest", (Bench,), {})
    monkeypatch.setattr(options, "Client", made)
    return made


def test_it_works(service: type[Bench]) -> None:
    result = run("bench", "saxpy", "--sizes", "1e6", "--variant", "all", "--device", "gpu")
    assert result.exit_code == 0, result.output
    head, first, second, *roof = result.stdout.splitlines()
    assert head.split("  ")[0] == "" and "% of peak" in head
    assert first.split() == [
        "a", "1,000,000", "one_each", "0.05", "0.04975", "–", "0.05025", "0.5", "240", "40", "6.0",
        "-",
    ]  # fmt: skip
    assert second.split()[-3:] == ["500", "75.0", "FAST"]
    assert roof[1] == "Test �[31mGPU: 4,000 GB/s and 60,000 GFLOP/s measured"
    assert roof[-1].startswith("b: Memory is the limit")
    drawn = "\n".join(roof[2:-1])
    assert all(mark in drawn for mark in "ab/_")
    assert "http://lab.example/experiments/7" in result.stderr


def sent_by(service: type[Bench], *arguments: str) -> Any:
    result = run("bench", *arguments, "--no-watch")
    assert result.exit_code == 0, result.output
    plan(service.sent, CATALOG)
    return service.sent


def test_one_of_everything_is_a_benchmark(service: type[Bench]) -> None:
    assert sent_by(service, "saxpy") == {"kind": "benchmark", "kernel": "saxpy", "device": "any"}
    spec = sent_by(
        service, "saxpy", "--sizes", "n=1e6", "--launch", "threads=128", "--variant", "wide",
        "--dtype", "float64", "--device", "gpu", "--samples", "50",
    )  # fmt: skip
    assert spec == {
        "kind": "benchmark", "kernel": "saxpy", "sizes": {"n": 10**6}, "launch": {"threads": 128},
        "variant": "wide", "dtype": "float64", "device": "gpu", "samples": 50,
    }  # fmt: skip


def test_a_source_of_ones_own_is_named_and_the_client_reads_it(
    service: type[Bench], tmp_path: Path
) -> None:
    file = tmp_path / "mine.cu"
    file.write_text(SAXPY, encoding="utf-8")
    result = run(
        "bench", "saxpy", "--source", str(file), "--launch", "threads=64,128", "--no-watch"
    )
    assert result.exit_code == 0, result.output
    content, _ = spec_content(service.sent)
    assert plan(json.loads(content), CATALOG).sources == {name_of(SAXPY): SAXPY}


def test_several_of_anything_are_a_grid(service: type[Bench]) -> None:
    spec = sent_by(
        service, "saxpy", "--sizes", "1e6:1e8", "--launch", "threads=128,256", "--variant", "all",
        "--device", "cpu,gpu", "--dtype", "float32",
    )  # fmt: skip
    assert spec["base"] == {"kind": "benchmark", "kernel": "saxpy", "dtype": "float32"}
    assert spec["space"] == {
        "device": ["cpu", "gpu"],
        "sizes.n": [10**6, 10**7, 10**8],
        "variant": ["one_each", "wide"],
        "launch.threads": [128, 256],
    }
    assert spec["strategy"] == {"method": "grid"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("5,3", [5, 3]),
        ("1e3:1e5", [1000, 10_000, 100_000]),
        ("2e3:5e4", [2000, 20_000, 50_000]),
        ("256:4096:5", [256, 512, 1024, 2048, 4096]),
        ("1:3:9", [1, 2, 3]),
        ("100:1e9", [100, 1000, 10**4, 10**5, 10**6, 10**7, 10**8, 500_000_000]),
    ],
)
def test_sizes_are_written_in_three_ways(
    service: type[Bench], text: str, wanted: list[int]
) -> None:
    assert sent_by(service, "saxpy", "--sizes", text)["space"]["sizes.n"] == wanted


def test_a_range_ends_where_the_kernel_does_and_says_so(service: type[Bench]) -> None:
    result = run("bench", "saxpy", "--sizes", "1e8:1e9", "--no-watch", "--json")
    assert "n of saxpy goes from 1 to 500,000,000: the range ends there." in result.stderr
    assert service.sent["space"] == {"sizes.n": [10**8, 5 * 10**8]}
    assert json.loads(result.stdout)["trials"] == [11, 12]


def test_a_kernel_with_several_sizes_takes_them_by_name(service: type[Bench]) -> None:
    spec = sent_by(service, "matmul", "--sizes", "rows=64", "--sizes", "inner=64,128")
    assert spec["base"]["sizes"] == {"rows": 64}
    assert spec["space"] == {"sizes.inner": [64, 128]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("saxpi",), "Did you mean 'saxpy'?"),
        (("saxpy", "--sizes", "m=3"), "--sizes: saxpy has no 'm'; there is n."),
        (("matmul", "--sizes", "64"), "write --sizes rows=…"),
        (("matmul", "--launch", "threads=64"), "there is none."),
        (("matmul", "--launch", "64"), "matmul has none to set."),
        (("saxpy", "--sizes", "1.5"), "'1.5' is no whole number"),
        (("saxpy", "--sizes", "many"), "'many' is no whole number"),
        (("saxpy", "--sizes", "1e400"), "is no whole number"),
        (("saxpy", "--sizes", "8:4"), "less than the second"),
        (("saxpy", "--sizes", "1:2:3:4"), "is no range"),
        (("saxpy", "--sizes", "1:8:1"), "2 to 1,000 points"),
        (("saxpy", "--sizes", "1e9:1e10"), "n of saxpy goes from 1 to 500,000,000."),
        (("saxpy", "--sizes", "n=1", "--sizes", "n=2"), "n is given twice"),
        (("saxpy", "--variant", "wild"), "--variant: there is no 'wild'; Did you mean 'wide'?"),
        (("saxpy", "--dtype", "float16"), "--dtype"),
        (("saxpy", "--device", "tpu"), "--device: there is no 'tpu'"),
        (("saxpy", "--samples", "3"), "--samples"),
    ],
)
def test_what_is_written_wrongly_is_named(
    service: type[Bench], arguments: tuple[str, ...], words: str
) -> None:
    result = run("bench", *arguments)
    assert result.exit_code == ExitCode.USAGE
    assert words in " ".join(result.stderr.split()), result.stderr
    assert service.sent is None


def test_programs_get_lines_and_what_has_no_time(service: type[Bench]) -> None:
    service.failing = True
    result = run("bench", "saxpy", "--variant", "all", "--json")
    assert result.exit_code == ExitCode.TRIALS_FAILED
    told = json.loads(result.stdout)
    assert [line["trial"] for line in told["lines"]] == [11, 12]
    assert [line["verdict"] for line in told["lines"]] == [None, "FAST"]
    assert told["lines"][1]["against"] == 11
    assert told["lines"][0]["roofline"]["limit"] == "memory"
    assert told["not_timed"] == [{"trial": 13, "state": "failed", "reason": "It is wrong."}]


def test_a_roofline_holds_what_lies_under_it_and_names_the_rest() -> None:
    lines = lines_of(
        Timed(trial, "gpu", timed.spec(n), timed.metrics(1.0, n), timed.summary(1.0, n))
        for trial, n in enumerate((10**4, 10**5, 10**6), start=1)
    )
    # The last was measured under half of the arithmetic: float64's roof, or a smaller cache's.
    other = lines[2].timed.summary["roofline"]
    other["peak_gflop_s"] /= 2
    drawn = bench_table.rooflines(lines, {1: "One", 2: "One", 3: "One"})
    assert drawn[1] == "One: 4,000 GB/s and 60,000 GFLOP/s measured"
    assert drawn[-1] == "Not drawn, as other peaks were measured for them: c."
    assert "Not drawn" not in " ".join(bench_table.rooflines(lines[:2], {}))


def test_a_gpu_beside_a_cpu_says_how_many_times_as_fast(service: type[Bench]) -> None:
    found = {"metric": "median_ms", "ratio": 7.5, "cpu_trial": 11, "gpu_trial": 12}
    service.speed_ups = ({**found, "transfer_ms": 6.0, "ratio_with_transfer": 3.0},)
    result = run("bench", "saxpy", "--device", "cpu,gpu")
    assert result.stdout.splitlines()[-2:] == [
        "GPU against CPU: 7.5 times as fast by median_ms (trial 12 against 11)",
        "  with 6 ms to bring data there and back: 3 times as fast",
    ]
    told = json.loads(run("bench", "saxpy", "--device", "cpu,gpu", "--json").stdout)
    assert [one["ratio_with_transfer"] for one in told["speed_ups"]] == [3.0]
