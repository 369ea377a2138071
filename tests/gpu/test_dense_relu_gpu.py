"""The whole layer on a real GPU, through the real runner. Skips itself where there is none."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.runners import of_type, runner, trial_of
from worker import protocol

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip, saying why, unless a driver, a GPU and pycuda are all here."""
    if not Path("/proc/driver/nvidia/version").exists() and not Path("/dev/nvidiactl").exists():
        pytest.skip("no NVIDIA driver on this machine")
    if find_spec("pycuda") is None:
        pytest.skip("pycuda is not installed: pip install 'labpool[gpu]'")
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    if not shown:
        pytest.skip("CUDA_VISIBLE_DEVICES shows no GPU to this process")
    monkeypatch.setattr("tests.support.runners.GPU_SHOWN", shown)


def spec_of(**changes: Any) -> dict[str, Any]:
    return {"kind": "benchmark", "kernel": "dense_relu", "device": "gpu", **changes}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 30])
def test_the_layer_is_right_and_timed(tmp_path: Path, dtype: str, batch: int) -> None:
    sizes = {"outputs": 4096, "inputs": 4096, "batch": batch}
    with runner(tmp_path / "home", "--light") as light:
        messages = light.run(trial_of(spec_of(dtype=dtype, sizes=sizes), tmp_path / "t"))
    result = messages[-1]
    assert isinstance(result, protocol.Result), result
    started = of_type(messages, protocol.Started)[0]
    assert started.environment["device"] == "gpu"
    assert result.metrics["max_relative_error"] <= (1e-5 if dtype == "float32" else 1e-13)
    # 67 MB or more: no GPU moves that in a microsecond, and any of this century in 50 ms.
    assert 1e-3 < result.metrics["median_ms"] < 50
    assert result.metrics["noise_percent"] < 20
    assert 0 < result.metrics["batch_ms"] < 50
    assert 0 < result.metrics["percent_of_peak"] < 115


@pytest.mark.parametrize("warps", [1, 7, 32])
def test_every_launch_is_right(tmp_path: Path, warps: int) -> None:
    spec = spec_of(launch={"warps": warps}, sizes={"outputs": 1000, "inputs": 999, "batch": 5})
    with runner(tmp_path / "home", "--light") as light:
        light.result(trial_of(spec, tmp_path / "t"))


def test_a_process_with_tensorflow_hands_the_gpu_to_another(tmp_path: Path) -> None:
    with runner(tmp_path / "home") as warm:
        light = warm.result(trial_of(spec_of(), tmp_path / "t"))
        assert light.metrics["gb_s"] > 1
        train = {"kind": "train", "model": "softmax", "dataset": "digits", "device": "cpu"}
        warm.result(trial_of({**train, "epochs": 1}, tmp_path / "next", trial=2))
