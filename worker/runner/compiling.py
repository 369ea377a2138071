"""A kernel's source compiled in a process of its own: fenced, limited, its log filtered, kept."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from worker.runner import compile_cache, nvrtc, throwaway
from worker.runner.compile_child import CUBIN_BYTES, Limits
from worker.runner.compile_log import Resources, filtered, resources
from worker.runner.reasons import CompileError, NotPrepared
from worker.wire_types import Json

SOURCE_BYTES = 64 * 1024
LIMITS = Limits()
VERBOSE = "--ptxas-options=--verbose"
CHECKOUT = Path(__file__).resolve().parents[2]
MIB = 1024**2
# Never words of the user's: source lines are set in, file names end at their bracket.
OUT_OF_MEMORY = re.compile(
    r"^((?! )[^(\n]*\(\d+\): catastrophic error: out of memory|LLVM ERROR: out of memory"
    r"|MemoryError|terminate called .*std::bad_alloc|NVRTC_ERROR_OUT_OF_MEMORY)",
    re.MULTILINE,
)


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

    Raises CompileError with the filtered log, NotPrepared when NVRTC is missing
    or does not know the GPU, MemoryError when the system ended its process.
    """
    _check(source)
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


def _check(source: str) -> None:
    try:
        length = len(source.encode())
    except UnicodeEncodeError:
        raise CompileError("source: holds half a character; save it as UTF-8.") from None
    if length > SOURCE_BYTES:
        raise CompileError(f"source: {length} bytes; at most {SOURCE_BYTES}: shorten it.")
    if "\0" in source:
        raise CompileError("source: holds a NUL character; remove it.")


def _answer(
    source: str, name: str, architecture: str, options: Sequence[str], ours: bool
) -> dict[str, Any]:
    """What is kept of a compile: its machine code, log and resources."""
    given = {"source": source, "name": name, "architecture": architecture}
    answer = _ask({**given, "options": [*options, VERBOSE], "needs_fence": not ours})
    if "unprepared" in answer:
        raise NotPrepared(answer["unprepared"])
    if "unfenced" in answer:
        raise CompileError(
            "source: this machine compiles kernels of the catalog only: a source of your own"
            " needs Linux on x86-64 with seccomp filters, which are missing here."
        )
    if "large" in answer:
        raise CompileError(
            f"source: makes {answer['large']} bytes of machine code; at most {CUBIN_BYTES}."
        )
    if answer.get("mistake", "").startswith("NVRTC_ERROR_INVALID_OPTION"):
        raise NotPrepared(
            f"NVRTC {nvrtc.version()} does not take {architecture} and {' '.join(options)}:"
            " a newer GPU needs a newer nvidia-cuda-nvrtc-cu12, and a driver that serves it; after"
            " a new driver, make gpu brings it."
        )
    if "mistake" in answer:
        raise CompileError(_mistake(answer["mistake"], name))
    return {
        "cubin": answer["cubin"],
        "log": filtered(answer["log"], name),
        "kernels": {entry: asdict(taken) for entry, taken in resources(answer["log"]).items()},
    }


def _mistake(text: str, name: str) -> str:
    if OUT_OF_MEMORY.search(text):
        return _too_much_memory()
    shown = filtered(text, name) or text.splitlines()[0]
    if "open source file" in text:
        return f"{shown}\nsource: no file can be included here; write what you need into it."
    return shown


def _too_much_memory() -> str:
    most = LIMITS.memory_bytes // MIB
    return f"source: compiling it takes more than {most} MiB of memory; make it simpler."


def _ask(given: Json) -> Any:
    start = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r});"
        f" from worker.runner.compile_child import main; main({os.getpid()})"
    )
    question = json.dumps({**given, "limits": asdict(LIMITS)}).encode()
    ended = throwaway.run([sys.executable, "-I", "-c", start], question, LIMITS.seconds)
    if ended.status == 0:
        return json.loads(ended.output)
    raise _failure(ended)


def _failure(ended: throwaway.Ended) -> CompileError | NotPrepared | MemoryError:
    """Why there is no answer: a limit, a crash of the compiler, or trouble of this machine."""
    if not ended.in_time:
        return CompileError(
            f"source: compiling it takes longer than {LIMITS.seconds:.0f} s; make it simpler."
        )
    if ended.status == -signal.SIGXCPU or ended.processor_seconds >= LIMITS.processor_seconds:
        return CompileError(
            f"source: compiling it takes more than {LIMITS.processor_seconds} s of a processor;"
            " make it simpler."
        )
    if OUT_OF_MEMORY.search(ended.errors.decode(errors="replace")):
        return CompileError(_too_much_memory())
    if ended.status == -signal.SIGKILL:
        return MemoryError("The compiler's process was killed from outside; memory may be short.")
    if ended.status < 0:
        return CompileError(
            f"source: the compiler crashed on it ({signal.Signals(-ended.status).name});"
            " write it another way."
        )
    said = ended.errors.decode(errors="replace").strip().splitlines()
    why = f": {said[-1][:300]}" if said else "."
    return NotPrepared(f"The compiler's process failed with status {ended.status}{why}")
