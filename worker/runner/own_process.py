"""The referee's end of the process in which a user's kernel runs: start it, ask it, end it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Launch, Launches, Sizes
from worker.runner import own_wire
from worker.runner.launch_limits import TooManyThreads, TooMuchShared
from worker.runner.own_clock import Clocked
from worker.runner.physics import Peaks
from worker.runner.reasons import EntryBroken, GpuTrouble, NotPrepared, WrongResult
from worker.runner.running import RUN_LIMIT_S
from worker.wire_types import Json

CHECKOUT: Final = Path(__file__).resolve().parents[2]
START_S: Final = 120.0
"""A driver may take that long to make its first context."""
ASK_S: Final = 120.0
RUN_S: Final = RUN_LIMIT_S + 15.0
KEPT: Final = ("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES")
"""All of the environment that the process is given, beside what a driver must not do."""
ON_GPU: Final = "from worker.runner.pycuda_device import PycudaDevice as make"
"""How the process comes by `make`, which gives its device."""


@dataclass(frozen=True)
class Placement:
    """One run of a kernel as its process is asked for it."""

    sizes: Sizes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    launches: Launches

    def idle(self) -> Placement:
        """The same arrays, and nothing to run on them."""
        return replace(self, launches=Launches((), self.launches.temporaries))

    def described(self) -> Json:
        """For the head of a message. Raises EntryBroken for a kernel that is mere copies."""
        steps: list[Any] = []
        for step in self.launches.steps:
            if not isinstance(step, Launch):
                raise EntryBroken("its reference copies, so no source can take its place.")
            steps.append([step.entry, list(step.grid), list(step.block), list(step.arguments)])
        return {
            "sizes": dict(self.sizes),
            "shape": list(self.shape),
            "dtype": self.dtype.name,
            "steps": steps,
            "temporaries": dict(self.launches.temporaries),
        }


class OwnProcess:
    """A process of its own for each trial, with an empty environment and a scratch folder.

    Raises NotPrepared and GpuTrouble while it is still as good as the referee, before `load`. After
    that Broken and Late of `own_wire` say that it cannot be asked any more, WrongResult and
    TooLarge what it said itself.
    """

    def __init__(self, make: str = ON_GPU) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="labpool-own-")
        self._stream, theirs = socket.socketpair()
        arguments = f"{theirs.fileno()}, {os.getpid()}, {self._folder.name!r}, make"
        start = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); {make}"
        start += f"; from worker.runner.own_child import main; main({arguments})"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", start],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self._folder.name,
                env=_environment(self._folder.name),
                # In the runner's group, so that the slot's limits and its SIGKILL reach it too.
                pass_fds=(theirs.fileno(),),
            )
        self._is_trusted = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End it and clear its folder; safe to call twice. Its fence let it start nothing."""
        self._stream.close()
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def hello(self) -> Json:
        """What its device is."""
        return self._ask({"do": "hello"}, limit_s=START_S)

    def peaks(self, image: bytes, itemsize: int) -> Peaks:
        """By this machine code of ours."""
        head = {"do": "peaks", "bytes": len(image), "itemsize": itemsize}
        found = self._ask(head, [memoryview(image)])
        return Peaks(own_wire.number(found, "bytes_s"), own_wire.number(found, "operations_s"))

    def load(self, image: bytes) -> None:
        """The user's machine code. From here on it is only told what it needs to know."""
        answer = self._ask({"do": "load", "bytes": len(image)}, [memoryview(image)])
        self._is_trusted = False
        if "unfenced" in answer:
            raise WrongResult(
                "source: this machine runs kernels of the catalog only: one of your own needs "
                "Linux on x86-64 with Landlock and seccomp filters, which are missing here."
            )

    def run(self, placement: Placement, inputs: Arrays) -> tuple[NDArray[Any], Clocked]:
        """One run on these inputs and an output that held no number: the output, in an array of
        ours, and the times."""
        began = time.perf_counter()
        self._place(placement, inputs)
        placed = time.perf_counter()
        answer = self._ask({"do": "run"}, limit_s=RUN_S)
        run_s = time.perf_counter() - placed
        told_s = own_wire.number(answer, "seconds")
        self._ask({"do": "fetch"})
        output = own_wire.receive_array(self._stream, placement.shape, placement.dtype, ASK_S)
        return output, Clocked(told_s, run_s, time.perf_counter() - began)

    def _place(self, placement: Placement, inputs: Arrays) -> None:
        head = {
            "do": "place", **placement.described(), "arrays": own_wire.described(inputs)
        }  # fmt: skip
        self._ask(head, [own_wire.bytes_of(array) for array in inputs.values()])

    def _ask(
        self, head: Mapping[str, Any], parts: Sequence[memoryview] = (), limit_s: float = ASK_S
    ) -> Json:
        try:
            self._stream.settimeout(limit_s)
            try:
                own_wire.send(self._stream, head, parts)
            except TimeoutError:
                raise own_wire.Late from None
            except OSError as error:
                # It may have told why before it ended, as one that has no GPU does.
                if not self._is_trusted:
                    raise own_wire.Broken(str(error)) from None
            answer = own_wire.receive(self._stream, limit_s)
        except (own_wire.Broken, own_wire.Late) as error:
            if self._is_trusted:
                raise GpuTrouble(f"The benchmark's process does not work: {error}") from None
            raise
        return self._unless_bad(answer)

    def _unless_bad(self, answer: Json) -> Json:
        text = {name: str(answer[name])[:500] for name in _BAD if name in answer}
        if not text:
            return answer
        if self._is_trusted and "unprepared" in text:
            raise NotPrepared(text["unprepared"])
        if self._is_trusted:
            raise GpuTrouble(" ".join(text.values()))
        if "threads" in text:
            raise TooManyThreads(text["threads"])
        if "shared" in text:
            raise TooMuchShared(text["shared"])
        if "wrong" in text:
            raise WrongResult(text["wrong"])
        if "hung" in text:
            raise own_wire.Late
        raise own_wire.Broken(" ".join(text.values()))


_BAD: Final = ("unprepared", "trouble", "fault", "hung", "threads", "shared", "wrong")


def _environment(folder: str) -> dict[str, str]:
    given = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        **given,
        "LC_ALL": "C.UTF-8",
        "HOME": folder,
        "TMPDIR": folder,
        # A cache of the driver's would outlive the trial.
        "CUDA_CACHE_DISABLE": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
