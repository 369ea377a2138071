"""The real runner, which also writes into a trial's log when it took it up and set to work."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from worker.runner import __main__ as runner
from worker.runner import serve
from worker.runner.report import Report

MARK = "at-monotonic-s"


def stamp(what: str) -> None:
    """One line of the trial's log. The clock is the machine's: processes can be compared."""
    print(f"{MARK} {what} {time.monotonic():.6f}", flush=True)


@cache
def _stamp_steps() -> None:
    # Only now: it needs TensorFlow, which a runner loads after it has said hello.
    from worker.runner.network import Network

    train_steps = Network.train_steps

    def timed_steps(*arguments: Any) -> Any:
        answer = train_steps(*arguments)
        stamp("first_step")
        return answer

    setattr(Network, "train_steps", timed_steps)  # noqa: B010 - not for a type checker's eyes


def main() -> None:
    do, started = serve._do, Report.started

    def timed_do(*arguments: Any) -> Any:
        stamp("taken_up")
        _stamp_steps()
        return do(*arguments)

    def timed_started(*arguments: Any) -> None:
        started(*arguments)
        stamp("started")

    vars(serve)["_do"] = timed_do
    setattr(Report, "started", timed_started)  # noqa: B010 - not for a type checker's eyes
    runner.main()


if __name__ == "__main__":
    main()
