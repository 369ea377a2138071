"""A process for one question: it gets bytes, gives bytes, and nothing of it stays."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

ERROR_BYTES = 4096


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    `status` is its exit status, or minus the number of the signal that ended it. `in_time` is
    False for one that had to be ended. `resident_bytes` is the most memory that it held, `errors`
    the end of what it wrote there.
    """

    output: bytes
    errors: bytes
    status: int
    in_time: bool
    processor_seconds: float
    resident_bytes: int


def run(command: Sequence[str], given: bytes, seconds: float) -> Ended:
    """Run `command` with `given` as its input and an empty environment, for `seconds` at most.

    The process is in the root folder and leads a group; when it ends, so does the whole group.
    """
    with (
        tempfile.TemporaryFile() as source,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        source.write(given)
        source.seek(0)
        process = subprocess.Popen(
            command,
            stdin=source,
            stdout=output,
            stderr=errors,
            cwd="/",
            env={"LC_ALL": "C.UTF-8"},
            process_group=0,
        )
        in_time = False
        try:
            in_time = _ends_within(process.pid, seconds)
        finally:
            # The leader is not waited for yet, so its number is still that of its group.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - ERROR_BYTES))
        return Ended(
            output.read(),
            errors.read(),
            process.returncode,
            in_time,
            used.ru_utime + used.ru_stime,
            used.ru_maxrss * 1024,
        )


def _ends_within(pid: int, seconds: float) -> bool:
    """Whether the process ends in time. It is not waited for by this."""
    descriptor = os.pidfd_open(pid)
    try:
        ending = select.poll()
        ending.register(descriptor, select.POLLIN)
        return bool(ending.poll(1000 * seconds))
    finally:
        os.close(descriptor)
