"""What a process whose harness was taken over may try. Each is called before it begins to serve."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from worker.runner import own_wire
from worker.runner.own_child import Answer, Bench

Act = Callable[[Bench, Any, socket.socket], Answer]
_run, _fetch, _place = Bench.do_run, Bench.do_fetch, Bench.do_place


def _once_loaded(name: str, act: Act) -> None:
    """Answer so from the moment on at which the user's code is there."""
    honest = getattr(Bench, name)

    def answer(bench: Bench, head: Any, stream: socket.socket) -> Answer:
        chosen = honest if bench._module is None else act
        answered: Answer = chosen(bench, head, stream)
        return answered

    setattr(Bench, name, answer)


def _tells(seconds: float, bench: Bench, head: Any, stream: socket.socket) -> Answer:
    _run(bench, head, stream)
    return {"seconds": seconds}, []


def _does_nothing(bench: Bench, head: Any, stream: socket.socket) -> Answer:
    del head, stream
    return {"seconds": bench._timed(lambda: None)}, []


def lies_about_time() -> None:
    """Tells a tenth."""

    def act(bench: Bench, head: Any, stream: socket.socket) -> Answer:
        answer, parts = _run(bench, head, stream)
        return {"seconds": float(str(answer["seconds"])) / 10}, parts

    _once_loaded("do_run", act)


def tells_the_impossible() -> None:
    """Tells a picosecond."""
    _once_loaded("do_run", partial(_tells, 1e-12))


def tells_more_than_passed() -> None:
    """Tells an hour."""
    _once_loaded("do_run", partial(_tells, 3600.0))


def tells_no_number() -> None:
    """Tells what no clock says."""
    _once_loaded("do_run", partial(_tells, float("nan")))


def works_on_another_stream() -> None:
    """The events stand side by side; the work is queued where they do not see it."""

    def act(bench: Bench, head: Any, stream: socket.socket) -> Answer:
        answer = _does_nothing(bench, head, stream)
        _run(bench, head, stream)
        return answer

    _once_loaded("do_run", act)


def works_when_it_is_fetched() -> None:
    """The run does nothing; the work is done when nobody seems to look at the clock."""

    def act(bench: Bench, head: Any, stream: socket.socket) -> Answer:
        _run(bench, head, stream)
        return _fetch(bench, head, stream)

    _once_loaded("do_run", _does_nothing)
    _once_loaded("do_fetch", act)


def works_before_it_is_asked() -> None:
    """The same as soon as the inputs are there."""

    def act(bench: Bench, head: Any, stream: socket.socket) -> Answer:
        answer = _place(bench, head, stream)
        _run(bench, head, stream)
        return answer

    _once_loaded("do_run", _does_nothing)
    _once_loaded("do_place", act)


def replays() -> None:
    """Gives the first output of a size again."""
    kept: dict[int, Answer] = {}

    def act(bench: Bench, head: Any, stream: socket.socket) -> Answer:
        answer, [part] = _fetch(bench, head, stream)
        return kept.setdefault(len(part), (answer, [part]))

    _once_loaded("do_fetch", act)


def skips_the_work() -> None:
    """Runs nothing and says it did."""
    _once_loaded("do_run", _does_nothing)


def says_nothing() -> None:
    """Never answers."""

    def act(bench: Bench, head: Any, stream: socket.socket) -> Answer:
        del bench, head, stream
        time.sleep(3600)
        return {}, []

    _once_loaded("do_run", act)


def breaks_off() -> None:
    """Ends in the middle of an answer."""

    def act(bench: Bench, head: Any, stream: socket.socket) -> Answer:
        del bench, head
        own_wire.send(stream, {"fetched": True}, [memoryview(b"12")])
        os._exit(0)

    _once_loaded("do_fetch", act)


def talks_too_much() -> None:
    """Announces a head of four gigabytes."""
    _once_loaded("do_run", partial(_says, b"\xff\xff\xff\xff" + b"x" * 100_000))


def talks_in_riddles() -> None:
    """Sends JSON that is nested as deep as fits."""
    _once_loaded("do_run", partial(_says, (60_000).to_bytes(4, "little") + b"[" * 60_000))


def _says(data: bytes, bench: Bench, head: Any, stream: socket.socket) -> Answer:
    del bench, head
    stream.sendall(data)
    return {}, []


def looks_around() -> None:
    """Tries to get out, and tells in its complaint what came of it."""

    def act(bench: Bench, head: Any, stream: socket.socket) -> Answer:
        del bench, head, stream
        tried: dict[str, Callable[[], object]] = {
            "read": lambda: Path("/etc/passwd").read_bytes(),
            "list": lambda: list(Path("/tmp").iterdir()),
            "parent": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
            "write": lambda: (Path.cwd().parent / "labpool-own-was-here").write_text("x"),
            "network": socket.socket,
            "start": lambda: subprocess.run(["/usr/bin/true"], check=True),
            "fork": os.fork,
            "kill": lambda: os.kill(os.getppid(), 0),
            "trace": _traces,
        }
        came = {name: _outcome(attempt) for name, attempt in tried.items()}
        Path("mine").write_text("scratch", encoding="utf-8")
        came["environment"] = " ".join(sorted(os.environ))
        streams = [Path(f"/proc/self/fd/{number}") for number in range(3)]
        came["streams"] = " ".join(str(stream.readlink()) for stream in streams)
        return {"wrong": json.dumps(came)}, []

    _once_loaded("do_run", act)


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except PermissionError:
        return "refused"
    except OSError as error:
        return f"{type(error).__name__} {error.errno}"
    return "done"


def _traces() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, os.getppid(), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
