"""The GPU that is none tells a kernel that never ends from one that faults, on a busy host too."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest

from tests.support.cuda.doubling import FAULTS, NEVER_ENDS, RIGHT
from tests.support.cuda.fake_device import FakeDevice, host_compiler
from worker.runner.device import DeviceFault

LIMIT_S = 0.3


def launched(device: FakeDevice, source: str) -> None:
    compiled = host_compiler(source, "kernel.cu", "sm_90", ["-DREAL=float"])
    function = device.function(device.load(compiled.cubin), "f")
    memory = device.allocate(4)
    device.launch(function, (1, 1, 1), (1, 1, 1), [memory, memory, np.int32(1)])


def has_ended(device: FakeDevice) -> bool:
    return device.has_passed(device.event())


@pytest.mark.parametrize("source", [RIGHT, NEVER_ENDS])
def test_it_works(source: str) -> None:
    device = FakeDevice(hang_s=LIMIT_S)
    try:
        launched(device, source)
        assert has_ended(device) is (source is RIGHT)
    finally:
        device.end()


def test_a_fault_is_no_kernel_without_an_end() -> None:
    device = FakeDevice(hang_s=LIMIT_S)
    try:
        with pytest.raises(DeviceFault, match="illegal address"):
            launched(device, FAULTS)
        assert has_ended(device)
    finally:
        device.end()


def test_a_busy_host_makes_no_kernel_endless() -> None:
    device = FakeDevice(hang_s=LIMIT_S)
    try:
        launched(device, RIGHT)
        process = device._kernels._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        # As long as others hold the processor: three times what a kernel may take of it.
        threading.Timer(3 * LIMIT_S, process.send_signal, (signal.SIGCONT,)).start()
        launched(device, RIGHT)
        assert has_ended(device)
    finally:
        device.end()
