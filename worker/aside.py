"""Work that may take long beside a slot's thread, such as copying a large file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def aside(work: Callable[[], T], between: Callable[[], None], every_s: float = 0.5) -> T:
    """The result of ``work``, done in a thread of its own while ``between`` is called now and then.

    A daemon thread, not an executor's: Python waits for those at its exit, and a copy to a hung
    file server must not keep a worker from ending.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised in the caller's thread
            future.set_exception(error)

    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    threading.Thread(target=run, name="aside", daemon=True).start()
    while not done.wait(every_s):
        between()
    return future.result()
