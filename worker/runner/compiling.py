"""A kernel's source compiled in a process of its own: fenced, limited, its log filtered, kept."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from worker.runner import compile_cache, nvrtc, throwaway
from worker.runner.compile_child import CPU_SECONDS, CUBIN_BYTES, MEMORY_BYTES
from worker.runner.compile_log import Resources, filtered, resources
from worker.runner.reasons import CompileError, GpuTrouble
from worker.wire_types import Json

SOURCE_BYTES = 64 * 1024
WALL_SECONDS = 60.0
"""Three times what it may compute: the processors are shared."""
VERBOSE = "--ptxas-options=--verbose"
CHECKOUT = Path(__file__).resolve().parents[2]
GIB, MIB = 1024**3, 1024**2


@dataclass(frozen=True)
class CompiledKernel:
    """Machine code, what the compiler said of the user's file, and what each entry takes.

    `seconds` is how long this call took to compile; a kept one was `cached` and took none.
    """

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


def cache_folder() -> Path:
    """Where a runner keeps what it compiled: in its home, which its slot's next runner has too."""
    return Path.home() / "compiled"


def compile_apart(
    source: str,
    name: str,
    architecture: str,
    options: Sequence[str],
    cache: Path | None,
    *,
    ours: bool = False,
) -> CompiledKernel:
    """Compile `source`, called `name` in messages, for `architecture`, such as sm_90.

    It runs in a process that can open no file and reach no network, within limits of memory and
    time. `cache` is a folder of this host where results are kept. Only a source of the catalog,
    `ours`, may compile where the system has no such fence. Options are the caller's own words,
    never a user's.

    Raises CompileError with the filtered log, GpuTrouble when NVRTC is not installed.
    """
    if len(source.encode(errors="replace")) > SOURCE_BYTES:
        raise CompileError(f"source: at most {SOURCE_BYTES} bytes; shorten it.")
    if "\0" in source:
        raise CompileError("source: holds a NUL character; remove it.")
    key = compile_cache.key_of([source, name, architecture, *options, nvrtc.build()])
    kept = None if cache is None else compile_cache.find(cache, key)
    begun = time.monotonic()
    answer = kept or _answer(source, name, architecture, options, ours)
    seconds = 0.0 if kept else time.monotonic() - begun
    if cache is not None and kept is None:
        compile_cache.keep(cache, key, answer)
    return CompiledKernel(
        base64.b64decode(answer["cubin"]),
        answer["log"],
        {entry: Resources(**taken) for entry, taken in answer["kernels"].items()},
        f"NVRTC {nvrtc.version()}",
        seconds,
        kept is not None,
        architecture,
        tuple(options),
    )


def _answer(
    source: str, name: str, architecture: str, options: Sequence[str], ours: bool
) -> dict[str, Any]:
    """What is kept of a compile: its machine code, log and resources."""
    given = {"source": source, "name": name, "architecture": architecture}
    answer = _ask({**given, "options": [*options, VERBOSE], "needs_fence": not ours})
    if "trouble" in answer:
        raise GpuTrouble(answer["trouble"])
    if "unfenced" in answer:
        raise CompileError(
            "source: this machine compiles kernels of the catalog only: a source of your own"
            " needs Linux on x86-64 with seccomp filters, which are missing here."
        )
    if "large" in answer:
        raise CompileError(
            f"source: makes {answer['large']} bytes of machine code; at most {CUBIN_BYTES}."
        )
    if "mistake" in answer:
        raise CompileError(_mistake(answer["mistake"], name))
    return {
        "cubin": answer["cubin"],
        "log": filtered(answer["log"], name),
        "kernels": {entry: asdict(taken) for entry, taken in resources(answer["log"]).items()},
    }


def _mistake(text: str, name: str) -> str:
    if "out of memory" in text.lower() or "OUT_OF_MEMORY" in text:
        return _too_much_memory()
    shown = filtered(text, name) or text.splitlines()[0]
    if "open source file" in text:
        return f"{shown}\nsource: no file can be included here; write what you need into it."
    return shown


def _too_much_memory() -> str:
    return f"source: compiling it takes more than {MEMORY_BYTES // GIB} GiB; make it simpler."


def _ask(given: Json) -> Any:
    start = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r});"
        f" from worker.runner.compile_child import main; main({os.getpid()})"
    )
    command = [sys.executable, "-I", "-c", start]
    ended = throwaway.run(command, json.dumps(given).encode(), WALL_SECONDS)
    if ended.status == 0:
        return json.loads(ended.output)
    if not ended.in_time:
        raise CompileError(
            f"source: compiling it takes longer than {WALL_SECONDS:.0f} s; make it simpler."
        )
    if ended.status == -signal.SIGXCPU or ended.processor_seconds >= CPU_SECONDS:
        raise CompileError(
            f"source: compiling it takes more than {CPU_SECONDS} s of a processor; make it simpler."
        )
    if ended.status == -signal.SIGKILL:
        raise GpuTrouble("The compiler's process was killed from outside; memory may be short.")
    if ended.resident_bytes > 0.8 * MEMORY_BYTES:
        raise CompileError(_too_much_memory())
    if ended.status < 0:
        raise CompileError(
            f"source: the compiler crashed on it ({signal.Signals(-ended.status).name});"
            " write it another way."
        )
    raise GpuTrouble(f"The compiler's process failed with status {ended.status}.")
