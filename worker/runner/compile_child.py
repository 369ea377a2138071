"""The throw-away process of a compile: takes its limits and its fence, then compiles."""

from __future__ import annotations

import base64
import json
import resource
import sys
from dataclasses import dataclass

from worker.runner import fence, lifeline, nvrtc
from worker.runner.reasons import CompileError, NotPrepared

CUBIN_BYTES = 8 * 1024**2
HALF_LOG_BYTES = 1024**2
OUTPUT_BYTES = 32 * 1024**2
"""Room for the longest answer: base64 adds a third, JSON up to sixfold."""


@dataclass(frozen=True)
class Limits:
    """What one compile may take, its start included."""

    memory_bytes: int = 2 * 1024**3
    processor_seconds: int = 20
    seconds: float = 60.0
    """More than it may compute: processors are shared."""


def main(parent_pid: int) -> None:
    """Compile what stdin says, on stdout answer in JSON."""
    lifeline.hold_to(parent_pid)
    given = json.load(sys.stdin)
    _limit(Limits(**given.pop("limits")))
    json.dump(_answer(given), sys.stdout)


def _limit(limits: Limits) -> None:
    memory, seconds = limits.memory_bytes, limits.processor_seconds
    for what, soft, hard in (
        (resource.RLIMIT_AS, memory, memory),
        # Two different ones: at the first the signal says which limit it was.
        (resource.RLIMIT_CPU, seconds, seconds + 1),
        (resource.RLIMIT_FSIZE, OUTPUT_BYTES, OUTPUT_BYTES),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(what, (soft, hard))


def _answer(given: dict[str, object]) -> dict[str, object]:
    needs_fence = given.pop("needs_fence")
    try:
        nvrtc.load_all()
        fenced = fence.close()
        if needs_fence and not fenced:
            return {"unfenced": True}
        compiled = nvrtc.compile_kernel(**given)  # type: ignore[arg-type]
    except CompileError as error:
        return {"mistake": _bounded(error.detail)}
    except NotPrepared as error:
        return {"unprepared": error.detail}
    except MemoryError:
        return {"mistake": "MemoryError"}
    if len(compiled.cubin) > CUBIN_BYTES:
        return {"large": len(compiled.cubin)}
    return {
        "cubin": base64.b64encode(compiled.cubin).decode(),
        "log": _bounded(compiled.log),
    }


def _bounded(log: str) -> str:
    """Both ends: the user's first mistakes stand at the top, the resources at the bottom."""
    if len(log) <= 2 * HALF_LOG_BYTES:
        return log
    return f"{log[:HALF_LOG_BYTES]}\n{log[-HALF_LOG_BYTES:]}"
