"""`make gpu-test`: the tests marked `gpu`, and a table of every kernel against its targets.

    python -m tests.gpu [--only KERNEL]

Ends with one line of JSON. Exit status 0 when all passed and each target is met, 1 when not, and 3
where nothing could be run: no driver, no GPU, no pycuda.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from deploy.gpu_choice import Answer, Unfit, ask_driver, read_answer
from labpool.catalog import KernelEntry
from tests.gpu import table
from tests.gpu.table import Row
from tests.support import runners
from tests.support.runners import CATALOG, CHECKOUT, Runner, of_type, runner, trial_of
from worker import protocol

FAILED, NOT_RUN = 1, 3
DTYPE = "float32"
_APART_TIMEOUT_S = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu")
    parser.add_argument("--only", choices=[*CATALOG.kernels], help="Only this kernel, no tests.")
    only = parser.parse_args().only
    why = why_not(ask_driver(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    if why:
        print(f"Not run on a GPU: {why}", file=sys.stderr)
        print(json.dumps({"ran": False, "why": why}))
        return NOT_RUN
    runners.GPU_SHOWN = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    tests = {} if only else run_tests()
    entries = [CATALOG.kernels[only]] if only else [*CATALOG.kernels.values()]
    rows, device = measure(entries)
    targets = [] if only else table.targets_of(rows, library_gflop_s())
    print("\n".join(table.lines_of(rows, targets)))
    good = not table.rows_failed(rows) and all(target.met for target in targets)
    good = good and tests_are_good(tests) if tests else good
    print(
        json.dumps(
            {
                "ran": True,
                "ok": good,
                "device": device,
                "date": datetime.now(UTC).isoformat("T", "seconds"),
                "command": " ".join(
                    ["make", "gpu-test", *([f"GPU_TEST='--only {only}'"] if only else [])]
                ),
                "tests": tests,
                **table.as_json(rows, targets),
            }
        )
    )
    return 0 if good else FAILED


def why_not(answer: Answer, visible: str | None) -> str:
    """Why nothing can be run here, with what mends it; empty when it can."""
    try:
        read_answer(answer)
    except Unfit as unfit:
        return f"{unfit} → {unfit.mend}"
    if visible == "":
        return "CUDA_VISIBLE_DEVICES shows no GPU to this process → unset CUDA_VISIBLE_DEVICES"
    if find_spec("pycuda") is None:
        return "pycuda is not installed → make gpu"
    return ""


def run_tests() -> dict[str, int]:
    """Counts of the tests marked `gpu`: tests, failures, errors, skipped."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "tests/gpu", f"--junitxml={report}"]
        # The table is this program's own output; theirs goes beside it.
        subprocess.run(command, cwd=CHECKOUT, check=False, stdout=sys.stderr)
        return counts_of(report)


def counts_of(report: Path) -> dict[str, int]:
    """From pytest's report; nothing passed where there is none."""
    names = ("tests", "failures", "errors", "skipped")
    if not report.is_file():
        return dict.fromkeys(names, 0) | {"errors": 1}
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - pytest wrote it
    found = dict.fromkeys(names, 0)
    for suite in suites:
        for name in names:
            found[name] += int(suite.get(name, 0))
    return found


def tests_are_good(counts: dict[str, int]) -> bool:
    """All passed, and there were some: a skipped test is no pass."""
    return counts["tests"] > 0 and not any(
        counts[name] for name in ("failures", "errors", "skipped")
    )


def measure(entries: list[KernelEntry]) -> tuple[list[Row], dict[str, Any]]:
    """A row for each variant of each kernel, and what they ran on."""
    rows: list[Row] = []
    device: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for entry in entries:
            for variant in entry.variants:
                # After an error of CUDA a process is not to be used again: each has its own.
                with runner(Path(folder) / "home", "--light") as light:
                    row, found = one_row(light, entry.name, variant, Path(folder) / "trial")
                rows.append(row)
                device = found or device
                print(f"{entry.name} {variant} {row.failed or 'done'}", file=sys.stderr)
    return rows, device


def one_row(light: Runner, kernel: str, variant: str, scratch: Path) -> tuple[Row, dict[str, Any]]:
    """One variant through the runner and apart from it."""
    spec = {"kind": "benchmark", "kernel": kernel, "variant": variant, "dtype": DTYPE,
            "device": "gpu"}  # fmt: skip
    messages = light.run(trial_of(spec, scratch))
    result = messages[-1]
    if not isinstance(result, protocol.Result):
        return Row(kernel, variant, failed=str(getattr(result, "reason", result))), {}
    try:
        apart = ask_apart({"kernel": kernel, "variant": variant, "dtype": DTYPE})
    except (subprocess.SubprocessError, ValueError) as error:
        return Row(kernel, variant, failed=f"the independent measurement: {error}"), {}
    found = dict(result.summary.get("gpu") or {}) if isinstance(result.summary, dict) else {}
    found.setdefault("name", of_type(messages, protocol.Started)[0].environment["device_name"])
    return Row.of(kernel, variant, result.metrics, result.summary, apart), found


def library_gflop_s() -> float | None:
    """What the vendor's library reaches at matmul's default sizes; None where it is missing."""
    sizes = {name: size.default for name, size in CATALOG.kernels[table.MATMUL].sizes.items()}
    try:
        milliseconds = ask_apart({"library": True, "sizes": sizes})
    except (subprocess.SubprocessError, ValueError) as error:
        print(f"The vendor's library was not measured: {error}", file=sys.stderr)
        return None
    operations = 2 * sizes["rows"] * sizes["columns"] * sizes["inner"]
    return operations / milliseconds / 1e6


def ask_apart(question: dict[str, Any]) -> float:
    """The median in ms that a process of its own finds. Raises SubprocessError, ValueError."""
    command = [sys.executable, "-m", "tests.gpu.independent", json.dumps(question)]
    done = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, check=False,
        timeout=_APART_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason"]
        raise subprocess.SubprocessError(said[0])
    return float(json.loads(done.stdout.splitlines()[-1])["median_ms"])


if __name__ == "__main__":
    sys.exit(main())
