"""Users' own source in a spec: what is taken, what is refused, and where its text goes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from db.trial_rows import configuration_digest
from labpool.catalog import Catalog
from labpool.client.errors import SpecUnreadable
from labpool.client.spec_files import spec_content
from labpool.errors import Problem, SpecError
from labpool.own_source import MOST_BYTES, entries, name_of
from labpool.planning import plan
from tests.support.own_kernels import SAXPY, own


def problems(catalog: Catalog, raw: dict[str, Any]) -> list[Problem]:
    with pytest.raises(SpecError) as refused:
        plan(raw, catalog)
    return list(refused.value.problems)


def test_it_works(catalog: Catalog) -> None:
    planned = plan(own(), catalog)
    [trial] = planned.trials
    assert trial.spec["source"] == planned.spec["source"] == name_of(SAXPY)
    assert planned.sources == {name_of(SAXPY): SAXPY}
    assert trial.device == trial.spec["device"] == "gpu", "it never runs on a CPU"
    assert "__global__" not in json.dumps([trial.spec, trial.varied, planned.spec])


def test_a_source_is_a_configuration_of_its_own(catalog: Catalog) -> None:
    specs = [
        own(), own(SAXPY + "\n"), own(seed=3),
        {"kind": "benchmark", "kernel": "saxpy", "sizes": {"n": 1000}, "device": "gpu"},
    ]  # fmt: skip
    first, other, seeded, catalogs = (
        configuration_digest(plan(spec, catalog).trials[0].spec) for spec in specs
    )
    assert first == seeded
    assert len({first, other, catalogs}) == 3


def test_a_spec_without_source_is_as_it_was(catalog: Catalog) -> None:
    spec = plan({"kind": "benchmark", "kernel": "saxpy"}, catalog).trials[0].spec
    assert "source" not in spec


def test_a_source_submitted_before_can_be_named(catalog: Catalog) -> None:
    planned = plan(own(name_of(SAXPY)), catalog)
    assert planned.trials[0].spec == plan(own(), catalog).trials[0].spec
    assert planned.sources == {}, "its text is looked up where it is known who asks"


def test_a_sweep_brings_its_source_once(catalog: Catalog) -> None:
    sweep = {
        "kind": "sweep", "base": own(), "strategy": {"method": "grid"},
        "space": {"launch.threads": [128, 256]},
    }  # fmt: skip
    planned = plan(sweep, catalog)
    assert [trial.spec["source"] for trial in planned.trials] == [name_of(SAXPY)] * 2
    assert planned.sources == {name_of(SAXPY): SAXPY}
    assert "__global__" not in json.dumps(planned.spec)
    [refused] = problems(catalog, {**sweep, "space": {"source": [SAXPY, SAXPY + " "]}})
    assert refused.pointer == "/space/source"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("@saxpy.cu", "is the name of a file"),
        ("int main() {}", "defines no entry of the kernel 'saxpy'"),
        (SAXPY.replace("int n", "long n"), "saxpy has other parameters than the catalog's"),
        (SAXPY.replace(", int n", ""), "saxpy has other parameters than the catalog's"),
        (SAXPY.replace("REAL*", "double*"), "saxpy has other parameters than the catalog's"),
        (SAXPY.replace('extern "C" ', ""), "saxpy has no C linkage"),
        (SAXPY + "\x01", "holds a control character"),
        (f"/* {SAXPY} */", "defines no entry of the kernel 'saxpy'"),
        (f"{SAXPY}// {'ü' * 40_000}", "at most 65536 are taken"),
    ],
)
def test_what_is_no_source_is_refused(catalog: Catalog, source: str, says: str) -> None:
    [problem] = problems(catalog, own(source))
    assert problem.pointer == "/source"
    assert says in str(problem)


@pytest.mark.parametrize(
    "source",
    [
        SAXPY.replace("REAL", "float"),
        SAXPY.replace("__restrict__ ", "").replace("const REAL*", "REAL *"),
        SAXPY.replace("alpha,", "a,").replace("__global__ void", "__global__\nvoid"),
        SAXPY.replace("void saxpy", "void __launch_bounds__(256) saxpy"),
        SAXPY.replace("saxpy(", "saxpy_wide("),
    ],
)
def test_the_same_signature_may_be_written_otherwise(catalog: Catalog, source: str) -> None:
    assert plan(own(source), catalog).sources == {name_of(source): source}


def test_a_cpu_runs_none(catalog: Catalog) -> None:
    [problem] = problems(catalog, own(device="cpu"))
    assert (problem.pointer, problem.message) == ("/device", "cpu runs no CUDA source.")
    [problem] = problems(catalog, own(device=["cpu", "gpu"]))
    assert "cpu runs no CUDA source" in problem.message


def test_every_catalog_kernel_has_a_signature_to_write_for(catalog: Catalog) -> None:
    for name, kernel in catalog.kernels.items():
        text = (kernel.path / "kernel.cu").read_text(encoding="utf-8")
        assert entries(text), name
        if len(text.encode()) <= MOST_BYTES:
            plan({"kind": "benchmark", "kernel": name, "source": text}, catalog)


@pytest.mark.parametrize("piece", ["/*", "//", "/*/", "__global__ void ", "__global__ void f("])
def test_a_hostile_text_is_read_in_no_time(piece: str) -> None:
    began = time.process_time()
    entries(piece * (MOST_BYTES // len(piece)))
    assert time.process_time() - began < 1.0


def test_the_command_line_reads_a_file_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / "mine.cu").write_text(SAXPY, encoding="utf-8")
    spec = tmp_path / "spec.yaml"
    spec.write_text('kind: benchmark\nkernel: saxpy\nsource: "@mine.cu"\n', encoding="utf-8")
    content, media_type = spec_content(spec)
    assert media_type == "application/json"
    assert json.loads(content)["source"] == SAXPY
    as_json = tmp_path / "sweep.json"
    as_json.write_text(json.dumps({"kind": "sweep", "base": own("@mine.cu")}), encoding="utf-8")
    assert json.loads(spec_content(as_json)[0])["base"]["source"] == SAXPY
    spec.write_text("source: '@gone.cu'\n", encoding="utf-8")
    with pytest.raises(SpecUnreadable, match=r"gone\.cu: No such file"):
        spec_content(spec)
