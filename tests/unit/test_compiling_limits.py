"""Sources made to take too much: each ends within every limit, and says which one it met."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from tests.support.compiles import KERNEL
from worker.runner import compiling, throwaway
from worker.runner.compile_child import CUBIN_BYTES, OUTPUT_BYTES, Limits
from worker.runner.compile_log import LOG_BYTES
from worker.runner.compiling import CHECKOUT, compile_apart
from worker.runner.reasons import CompileError, NotPrepared

TENFOLD = "".join(f"#define M{i + 1} {f'M{i} ' * 10}\n" for i in range(9))
MACROS = f"#define M0 1+\n{TENFOLD}__device__ int x = M9 0;\n"
DOUBLING = """template<int N, long M> struct B { B<N-1,2*M> a; B<N-1,2*M+1> b; };
template<long M> struct B<0,M> {};
B<24,0> x;
"""
WARNINGS = (
    "#define W0 {int unused_one;}\n"
    + "".join(f"#define W{i + 1} {f'W{i} ' * 8}\n" for i in range(5))
    + "__device__ void w() { W5 }\n"
)
BOMBS = {
    "templates that double": (DOUBLING, "more than 2048 MiB of memory"),
    "templates without end": (
        (
            "template<int N> struct D { static const int v = D<N + 1>::v; };\n"
            "__device__ int x = D<0>::v;\n"
        ),
        "excessive recursion",
    ),
    "functions without end": (
        (
            "template<int N> __device__ int g() { return g<N + 1>(); }\n"
            "__device__ int h() { return g<0>(); }\n"
        ),
        "excessive recursion",
    ),
    "a constant that never comes": (
        (
            "__device__ constexpr int f0() { int i = 0; while (true) ++i; return i; }\n"
            "__device__ constexpr int x = f0();\n"
        ),
        "constant",
    ),
    "a constant by recursion": (
        (
            "__device__ constexpr long fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }\n"
            'static_assert(fib(80) > 0, "");\n'
        ),
        "constant",
    ),
    "macros tenfold": (MACROS, "of a processor|MiB of memory"),
    "a huge array": ("__device__ int x[1 << 29] = {1};\n", "more than 2048 MiB of memory"),
    "a large array": (f"__device__ char x[{CUBIN_BYTES}] = {{1}};\n", "bytes of machine code"),
    "an array of nothing": ("__device__ int x[1 << 29];\n", None),
    "brackets": (f"__device__ int x = {'(' * 30000}1{')' * 30000};\n", None),
    "megabytes of log": (WARNINGS, None),
}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[throwaway.Ended]:
    """How each compile's process ended."""
    seen: list[throwaway.Ended] = []
    run = throwaway.run

    def watched(*arguments: object) -> throwaway.Ended:
        seen.append(run(*arguments))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(throwaway, "run", watched)
    return seen


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Bytes that the compile's process was seen to hold, which the kernel's own account of an ended
    process cannot say: it counts what its parent held before the program was exchanged."""
    seen: list[int] = []
    ends_within = throwaway._ends_within

    def watched(pid: int, seconds: float) -> bool:
        over = Event()
        watching = Thread(target=watch, args=(pid, over))
        watching.start()
        try:
            return ends_within(pid, seconds)
        finally:
            over.set()
            watching.join()

    def watch(pid: int, over: Event) -> None:
        while not over.wait(0.01):
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
            # A process that has ended but was not waited for has no memory.
            if found := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
                seen.append(int(found[1]) * 1024)

    monkeypatch.setattr(throwaway, "_ends_within", watched)
    yield seen
    assert seen, "nobody looked while it ran"


@pytest.mark.parametrize(("source", "told"), BOMBS.values(), ids=BOMBS.keys())
def test_it_ends_within_its_limits(
    source: str,
    told: str | None,
    taken: list[throwaway.Ended],
    held: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = Limits(processor_seconds=10, seconds=120.0)
    monkeypatch.setattr(compiling, "LIMITS", limits)
    begun = time.monotonic()
    if told is None:
        shown = compile_apart(source + KERNEL, "mine.cu", "sm_80", [], None).log
    else:
        with pytest.raises(CompileError, match=told) as caught:
            compile_apart(source + KERNEL, "mine.cu", "sm_80", [], None)
        shown = str(caught.value)
    (ended,) = taken
    assert ended.processor_seconds <= limits.processor_seconds + 1.5
    assert 2**20 < max(held) <= limits.memory_bytes
    assert len(ended.output) <= OUTPUT_BYTES
    assert time.monotonic() - begun <= limits.seconds + 10
    assert len(shown.encode()) <= LOG_BYTES + 200


def test_megabytes_of_log_were_there_to_be_cut(taken: list[throwaway.Ended]) -> None:
    compiled = compile_apart(WARNINGS + KERNEL, "mine.cu", "sm_80", [], None)
    assert len(taken[0].output) > 2 * 1024**2
    assert LOG_BYTES - 4 <= len(compiled.log.encode()) <= LOG_BYTES
    assert compiled.kernels["f"].shared_bytes == 128


def test_time_on_the_wall_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "LIMITS", Limits(seconds=1.0))
    with pytest.raises(CompileError, match="longer than 1 s"):
        compile_apart(MACROS + KERNEL, "mine.cu", "sm_80", [], None)


def test_time_of_a_processor_is_told(
    monkeypatch: pytest.MonkeyPatch, taken: list[throwaway.Ended]
) -> None:
    monkeypatch.setattr(compiling, "LIMITS", Limits(processor_seconds=2, seconds=120.0))
    with pytest.raises(CompileError, match="more than 2 s of a processor"):
        compile_apart(MACROS + KERNEL, "mine.cu", "sm_80", [], None)
    assert taken[0].status == -signal.SIGXCPU


@pytest.mark.parametrize(
    ("script", "error", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", CompileError, r"crashed on it \(SIGSEGV\)"),
        ("os.abort()", CompileError, r"crashed on it \(SIGABRT\)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", MemoryError, "killed from outside"),
        ("sys.exit(3)", NotPrepared, "status 3"),
        ("raise MemoryError", CompileError, "MiB of memory"),
    ],
)
def test_a_crash_is_no_limit(
    script: str, error: type[Exception], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-I", "-c", f"import os, signal, sys; {script}"]
    run = throwaway.run
    monkeypatch.setattr(throwaway, "run", lambda _, given, seconds: run(command, given, seconds))
    with pytest.raises(error, match=told):
        compile_apart(KERNEL, "mine.cu", "sm_80", [], None)


def test_a_compile_does_not_outlive_its_runner(tmp_path: Path) -> None:
    path = tmp_path / "bomb.cu"
    path.write_text(MACROS)
    script = (
        "import sys; from pathlib import Path; from worker.runner.compiling import compile_apart;"
        "compile_apart(Path(sys.argv[1]).read_text(), 'mine.cu', 'sm_80', [], None)"
    )
    runner = subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=CHECKOUT)
    children = Path(f"/proc/{runner.pid}/task/{runner.pid}/children")
    try:
        child = until(lambda: children.read_text().split())[0]
        # Only once it has begun to compile has it asked to be ended with its runner.
        until(lambda: "libnvrtc-builtins" in Path(f"/proc/{child}/maps").read_text())
    finally:
        runner.kill()
        runner.wait()
    until(lambda: not is_alive(int(child)))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise TimeoutError("it did not happen")
