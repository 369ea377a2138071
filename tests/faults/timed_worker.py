"""The real worker, which also writes into its log when it heard the bell, claimed and handed out.

Its runners are `timed_runner`s. ``--cancel-grace-s`` is for tests that have no time to wait for
what nobody hears.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from tests.faults.timed_runner import stamp
from worker import process

COMMAND = (sys.executable, "-m", "tests.faults.timed_runner")


def after(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    """The same with a stamp behind it, when it brought something."""

    def timed(*arguments: Any) -> Any:
        answer = original(*arguments)
        if answer is not None:
            stamp(what)
        return answer

    return timed


def before(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    """The same with a stamp ahead of it."""

    def timed(*arguments: Any) -> Any:
        stamp(what)
        return original(*arguments)

    return timed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cancel-grace-s", type=float)
    options = parser.parse_args()
    # Before the pool is imported, which takes it over.
    process.COMMAND = COMMAND
    from worker import allocation
    from worker.__main__ import main as run
    from worker.slot import Slot
    from worker.watched import WatchedRunner

    Slot.ring = before(Slot.ring, "rung")  # type: ignore[method-assign]
    Slot._claim = after(Slot._claim, "claimed")  # type: ignore[method-assign]
    WatchedRunner.send = before(WatchedRunner.send, "sent")  # type: ignore[method-assign]
    if options.cancel_grace_s is not None:
        vars(allocation)["CANCEL_GRACE_S"] = options.cancel_grace_s
    run([])


if __name__ == "__main__":
    main()
