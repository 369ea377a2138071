"""The programs that `sweep` sets labpool against: started, warm, timed, ended.

Each says ``ready`` when it is warm, reads one line of JSON, and says ``done`` and how many trials
it did. Peers run in an environment of their own, `.venv-peers`: ``make bench-setup``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from labpool.settings import CHECKOUT
from tests.support.processes import kept_environment

PEERS_PYTHON = CHECKOUT / ".venv-peers" / "bin" / "python"
PATIENCE_S = 600.0
END_S = 30.0
LOG_TAIL = 2000

Trial = Mapping[str, Any]


class Broken(Exception):
    """A program did not say what it should."""


def peers_python() -> Path | None:
    """The interpreter of the peers' environment; None, and a word on how to get it, without one."""
    # The set-up makes the stamp last.
    if PEERS_PYTHON.exists() and (PEERS_PYTHON.parents[1] / ".complete").exists():
        return PEERS_PYTHON
    print(
        "The peers (Celery, Optuna, Ray Tune, a fresh process a trial; PyTorch) are not measured: "
        f"{PEERS_PYTHON.parents[1]} is missing or unfinished. `make bench-setup` makes it."
    )
    return None


def seconds(
    command: Sequence[str],
    shares: Sequence[Sequence[Trial]],
    environment: Mapping[str, str],
    patience_s: float | None = None,
) -> float:
    """From the word to go to the last result: a process of ``command`` for each share of trials.

    Raises Broken when one does not do all of its share.
    """
    with ExitStack() as stack:
        programs = [stack.enter_context(_program(command, environment)) for _ in shares]
        for program in programs:
            program.hear("ready")
        began_s = time.monotonic()
        for program, share in zip(programs, shares, strict=True):
            program.say(share)
        for program, share in zip(programs, shares, strict=True):
            program.hear(f"done {len(share)}", patience_s)
        return time.monotonic() - began_s


class _Program:
    def __init__(self, process: subprocess.Popen[str], log: IO[bytes]) -> None:
        self.process = process
        self._log = log

    def say(self, trials: Sequence[Trial]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(trials)}\n")
        self.process.stdin.flush()

    def hear(self, wanted: str, patience_s: float | None = None) -> None:
        assert self.process.stdout is not None
        patience_s = PATIENCE_S if patience_s is None else patience_s
        # One line at a time is on its way, so none hides in the stream's buffer.
        if select.select([self.process.stdout], [], [], patience_s)[0]:
            heard = self.process.stdout.readline().strip()
        else:
            heard = f"nothing in {patience_s:g} s"
        if heard != wanted:
            self._log.seek(0)
            tail = self._log.read().decode(errors="replace")[-LOG_TAIL:]
            raise Broken(f"{self.process.args} said {heard!r}, not {wanted!r}; it wrote:\n{tail}")


@contextmanager
def _program(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[_Program]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            cwd=CHECKOUT, env=_environment(environment), start_new_session=True,
        )  # fmt: skip
        try:
            yield _Program(process, log)
        finally:
            _end(process)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {
        **kept_environment(),
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # What a program starts runs elsewhere and finds the fits all the same.
        "PYTHONPATH": str(CHECKOUT),
        **more,
    }


def _end(process: subprocess.Popen[str]) -> None:
    """Let it end what it has started, which Ray and Celery do only by themselves; then kill all."""
    assert process.stdin is not None and process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def ideal_command() -> tuple[str, ...]:
    """The same fits and nothing else, in this environment."""
    return (sys.executable, "-m", "tests.bench.ideal")


def peer_command(python: Path, name: str, *arguments: str) -> tuple[str, ...]:
    """A program of `tests/bench/peers`."""
    return (str(python), "-m", f"tests.bench.peers.by_{name}", *arguments)
