"""A kernel's source compiled in a process of its own, within limits, with a filtered log."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from worker.runner.includes import refuse_includes
from worker.runner.reasons import CompileError, GpuTrouble
from worker.wire_types import Json

SOURCE_BYTES = 64 * 1024
LOG_BYTES = 16 * 1024
WALL_SECONDS = 40.0
VERBOSE = "--ptxas-options=--verbose"
ENTRY = re.compile(r"Compiling entry function '(\w+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")


@dataclass(frozen=True)
class Resources:
    """What one entry takes: registers of a thread, bytes of a block or a thread."""

    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_store_bytes: int
    spill_load_bytes: int


@dataclass(frozen=True)
class CompiledKernel:
    """Machine code, what the compiler said of the user's file, and what each entry takes."""

    cubin: bytes
    log: str
    kernels: Mapping[str, Resources]
    compiler: str
    seconds: float
    cached: bool
    architecture: str
    options: tuple[str, ...]

    def describe(self) -> Json:
        """The result's "compile" part."""
        return {
            "architecture": self.architecture,
            "options": list(self.options),
            "compiler": self.compiler,
            "cached": self.cached,
            "seconds": self.seconds,
            "log": self.log,
            "kernels": {entry: asdict(taken) for entry, taken in self.kernels.items()},
        }


def compile_apart(
    source: str, name: str, architecture: str, options: Sequence[str]
) -> CompiledKernel:
    """Compile `source` for `architecture`, such as sm_90, within limits.

    Raises CompileError with the filtered log, GpuTrouble when NVRTC is not installed.
    """
    if len(source.encode()) > SOURCE_BYTES:
        raise CompileError(f"source: at most {SOURCE_BYTES} bytes; shorten it.")
    refuse_includes(source)
    begun = time.monotonic()
    given = {"source": source, "name": name, "architecture": architecture}
    answer = _ask({**given, "options": [*options, VERBOSE]})
    if "trouble" in answer:
        raise GpuTrouble(answer["trouble"])
    if "mistake" in answer:
        raise CompileError(filtered(answer["mistake"], name))
    return CompiledKernel(
        base64.b64decode(answer["cubin"]),
        filtered(answer["log"], name),
        resources(answer["log"]),
        answer["compiler"],
        time.monotonic() - begun,
        False,
        architecture,
        tuple(options),
    )


def _ask(given: Json) -> Any:
    root = str(Path(__file__).parents[2])
    start = f"import sys; sys.path.insert(0, {root!r}); "
    start += "from worker.runner.compile_child import main; main()"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", start],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"LC_ALL": "C.UTF-8", "TMPDIR": folder},
            start_new_session=True,
        )
        try:
            with suppress(subprocess.TimeoutExpired):
                process.communicate(json.dumps(given).encode(), timeout=WALL_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        out.seek(0)
        if process.returncode != 0:
            raise CompileError("source: the compiler ran past its limits; make it simpler.")
        return json.load(out)


def filtered(log: str, name: str) -> str:
    """The lines about the user's file, at most LOG_BYTES."""
    lines = [line for line in log.splitlines() if line.startswith(f"{name}(")]
    return "\n".join(lines).encode()[:LOG_BYTES].decode(errors="ignore")


def resources(log: str) -> dict[str, Resources]:
    """What each entry takes, from the compiler's verbose lines."""
    found = {}
    for part in re.split(r"(?=Compiling entry function)", log)[1:]:
        entry, spills = ENTRY.search(part), SPILLS.search(part)
        registers = re.search(r"Used (\d+) registers", part)
        shared = re.search(r"(\d+) bytes smem", part)
        if entry and spills and registers:
            stack, stores, loads = (int(number) for number in spills.groups())
            shared_bytes = int(shared[1]) if shared else 0
            found[entry[1]] = Resources(int(registers[1]), shared_bytes, stack, stores, loads)
    return found
