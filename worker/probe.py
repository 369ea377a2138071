"""After a GPU fault: was it the GPU, or the trial? A fresh process tries a first operation."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from worker.devices import Device
from worker.exits import NO_MEMORY, describe_status
from worker.logs import tail_of
from worker.process import RunnerProcess

logger = logging.getLogger(__name__)

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
    pass_fds: Sequence[int] = (),
) -> str | None:
    """Why the device cannot be worked on; None when a fresh process could, or was not let finish.

    Call it from the slot's own thread, with no runner of it on the device. A share's process keeps
    to the share's memory; if even that is not free, somebody takes more than is theirs, which says
    nothing about the GPU: None. Raises OSError.
    """
    log = home.with_name("probe.log")
    log.unlink(missing_ok=True)
    by = "tensorflow" if "train" in device.kinds else "pycuda"
    deadline_s = clock() + limit_s
    process = RunnerProcess(device, home, log, (*command, "--by", by), pass_fds)
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
    if status == NO_MEMORY and device.is_share:
        logger.warning("%s could not be tried, its memory is taken: %s", device.label, last)
        return None
    return last or f"A process that tried it {describe_status(status)}."
