"""The process in which a fake device's kernels run (`python -m tests.support.cuda.fake_driver`).

The device's memory is a file that both sides map, so kernels read and write real addresses: what
goes beside an array lands in what lies beside it, and what goes beyond the memory ends the process.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARENA_BYTES = 2**26


class Faulted(Exception):
    """The process ended while a kernel ran."""


class Stuck(Exception):
    """A kernel did not end within its time of the processor; the process is no more."""


class Kernels:
    """The other side of that process. `arena` is the memory that it works on."""

    def __init__(self) -> None:
        self._file = os.memfd_create("labpool-fake-device")
        os.ftruncate(self._file, ARENA_BYTES)
        self._map = mmap.mmap(self._file, ARENA_BYTES)
        self.arena: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, call: Mapping[str, Any], limit_s: float) -> int:
        """The shim's outcome of one launch. `limit_s` counts seconds of the processor.

        Raises Faulted, Stuck.
        """
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({**call, "limit_s": limit_s}).encode() + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if answer:
            return int(answer)
        # It ends by itself, also for its limit: behind the fence nobody could end it.
        status = process.wait()
        self._end()
        if status == -signal.SIGPROF:
            raise Stuck
        raise Faulted(f"signal {-status}")

    def close(self) -> None:
        """End the process."""
        self._end()
        os.close(self._file)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.cuda.fake_driver", str(self._file)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[self._file],
            )  # fmt: skip
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def packed(scalar: np.generic) -> str:
    """A scalar argument's bytes, as text."""
    return scalar.tobytes().hex()


def _serve(file: int) -> None:
    memory = mmap.mmap(file, ARENA_BYTES)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libraries: dict[str, ctypes.CDLL] = {}
    for line in sys.stdin.buffer:
        call = json.loads(line)
        library = libraries.setdefault(call["library"], ctypes.CDLL(call["library"]))
        kept = [_argument(base, given) for given in call["arguments"]]
        # Time of the processor, not of the clock: a busy host makes no kernel endless.
        signal.setitimer(signal.ITIMER_PROF, call["limit_s"])
        outcome = library[f"labpool_launch_{call['entry']}"](
            _three(call["grid"]), _three(call["block"]), _places(kept), 0
        )
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(b"%d\n" % outcome)
        sys.stdout.buffer.flush()


def _argument(base: int, given: int | str) -> Any:
    """An offset in the memory is a pointer, text the bytes of a value."""
    data = struct.pack("P", base + given) if isinstance(given, int) else bytes.fromhex(given)
    return ctypes.create_string_buffer(data, len(data))


def _places(arguments: Sequence[Any]) -> Any:
    return (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, arguments))


def _three(sides: Sequence[int]) -> Any:
    return (ctypes.c_uint * 3)(*sides)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
