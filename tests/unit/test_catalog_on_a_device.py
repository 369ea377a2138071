"""Every kernel of the catalog through the whole harness, on a GPU that is none."""

from __future__ import annotations

from typing import Any

import pytest

from labpool.catalog import KernelEntry
from labpool.sdk import Copy
from tests.support.cuda.fake_device import FakeDevice, host_compiler
from tests.support.heard import Slot
from tests.support.runners import CATALOG, reference_to
from worker.runner import cuda_target, loading, peaks, sampling
from worker.runner.benchmark import FUNCTIONS, Plan, measure
from worker.runner.cuda_target import CudaTarget

CASES = [
    pytest.param(entry, variant, id=f"{name}-{variant}")
    for name, entry in CATALOG.kernels.items()
    for variant in entry.variants
]


@pytest.mark.parametrize(("entry", "variant"), CASES)
def test_a_kernel_of_the_catalog_gets_its_time(
    monkeypatch: pytest.MonkeyPatch, entry: KernelEntry, variant: str
) -> None:
    monkeypatch.setattr(sampling, "WARM_UP_S", 0.0)
    monkeypatch.setattr(peaks, "REPEATS", 2)
    monkeypatch.setattr(peaks, "BLOCKS_EACH", 2)
    monkeypatch.setattr(sampling, "LEAST_BATCHES", 2)
    monkeypatch.setattr(sampling, "MOST_BATCHES", 2)
    monkeypatch.setattr(sampling, "MOST_RUNS", 2)
    # So that larger inputs are windows of a longer array, and small ones drawn anew.
    monkeypatch.setattr(cuda_target, "FRESH_BYTES", 4096)
    kernel: Any = loading.load(reference_to(entry), entry.path / "reference.py", *FUNCTIONS)
    launch = {name: size.default for name, size in entry.launch.items()}
    sizes = {name: _small(name, len(entry.sizes)) for name in entry.sizes}
    plan = Plan(sizes, "float32", variant, launch, "gpu", 1, 10)
    slot, fake = Slot(), FakeDevice(lambda entry: 40.0)
    try:
        target = CudaTarget(
            kernel, entry.path / "kernel.cu", "float32", launch, variant, fake, host_compiler
        )
        tolerance = entry.tolerance["float32"]
        metrics, summary = measure(kernel, target, plan, tolerance, slot.report)
        assert metrics["max_relative_error"] <= tolerance
        assert metrics["median_ms"] > 0
        referee: Any = summary["referee"]
        assert referee["verdict"] == "possible"
        transfer: Any = summary["transfer"]
        copies = [
            step.host
            for step in kernel.launches(sizes, launch, variant).steps
            if isinstance(step, Copy)
        ]
        assert (transfer["bytes_to_device"] == 0) == ("source" in copies)
        assert (transfer["bytes_from_device"] == 0) == ("target" in copies)
    finally:
        fake.end()
        slot.close()


def _small(name: str, sides: int) -> int:
    """A size for which a sample takes the processor milliseconds."""
    if name == "batch":
        return 3
    return 3001 if sides == 1 else 61
