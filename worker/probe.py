"""After a GPU fault: was it the GPU, or the trial? A fresh process tries a first operation."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from worker.devices import Device
from worker.exits import describe_status
from worker.logs import tail_of
from worker.process import RunnerProcess

COMMAND = (sys.executable, "-m", "worker.runner.probe")
# TensorFlow's import and the compilation of a first kernel, on a cold disk.
LIMIT_S = 300.0
_POLL_S = 0.2
_LONGEST_REASON = 300


def trouble_with(
    device: Device,
    home: Path,
    command: Sequence[str] = COMMAND,
    stopping: Callable[[], bool] = lambda: False,
    limit_s: float = LIMIT_S,
    clock: Callable[[], float] = time.monotonic,
) -> str | None:
    """Why the device cannot be worked on; None when a fresh process could, or was not let finish.

    Call it from the slot's own thread, with no runner on the device. Raises OSError.
    """
    log = home.with_name("probe.log")
    log.unlink(missing_ok=True)
    by = "tensorflow" if "train" in device.kinds else "pycuda"
    deadline_s = clock() + limit_s
    process = RunnerProcess(device, home, log, (*command, "--by", by))
    while not (ended := process.wait(_POLL_S)) and clock() < deadline_s and not stopping():
        pass
    status = process.finish()
    if status is None:
        return "A process that tried it is stuck in the driver and cannot be ended."
    if not ended:
        return None if stopping() else f"A first operation took longer than {limit_s:g} s."
    if status == 0:
        return None
    said = [line.strip() for line in tail_of(log).splitlines() if line.strip()]
    last = said[-1][:_LONGEST_REASON] if said and status > 0 else ""
    return last or f"A process that tried it {describe_status(status)}."
