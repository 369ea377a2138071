"""What a slot asks of a real GPU. Skips itself where there is none."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from worker import probe
from worker.devices import Device, Nvml, host_devices
from worker.gpu_use import NvmlMonitor

pytestmark = pytest.mark.gpu


@pytest.fixture
def device() -> Device:
    """A GPU of this host; skips, saying why, where there is none."""
    if not Nvml().gpus():
        pytest.skip("NVML shows no GPU on this machine")
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = [one for one in host_devices(visible=shown) if one.gpu_uuid is not None]
    if not found:
        pytest.skip("CUDA_VISIBLE_DEVICES shows no GPU to this process")
    return found[0]


def test_nvml_tells_its_use(device: Device) -> None:
    use = NvmlMonitor().look(str(device.gpu_uuid))
    assert use is not None
    assert use.used_bytes is None or 0 <= use.used_bytes < 2**40


@pytest.mark.parametrize(("kind", "module"), [("train", "tensorflow"), ("benchmark", "pycuda")])
def test_a_gpu_that_is_well_passes_its_probe(
    tmp_path: Path, device: Device, kind: str, module: str
) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    alone = Device("gpu", device.name, 1, (kind,), device.gpu_uuid)
    assert probe.trouble_with(alone, tmp_path / "probe") is None


KEEPS_TO_ITS_PART = """
import sys
from worker.runner import backend
backend.prepare(1)
import tensorflow as tf
MEBIBYTE = 2**20
with tf.device("/GPU:0"):
    held = tf.zeros([64 * MEBIBYTE // 4])
    if tf.config.experimental.get_memory_info("GPU:0")["current"] < 64 * MEBIBYTE:
        sys.exit("It does not count what it holds.")
    try:
        tf.zeros([2048 * MEBIBYTE // 4])
    except tf.errors.ResourceExhaustedError:
        sys.exit(0)
sys.exit("It took more than its part.")
"""


def test_a_shares_runner_keeps_to_its_part_of_the_memory(tmp_path: Path, device: Device) -> None:
    if find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed")
    share = Device("gpu", device.name, 1, ("train",), device.gpu_uuid, 1024, 1, 2)
    code = (sys.executable, "-c", KEEPS_TO_ITS_PART)
    assert probe.trouble_with(share, tmp_path / "part", code) is None
    # And the probe itself has room in it.
    assert probe.trouble_with(share, tmp_path / "probe") is None
