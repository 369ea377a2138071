"""Work that may take long beside a slot's thread, such as copying a large file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """Work done in a thread of its own, which may never come to an end.

    A daemon thread, not an executor's: Python waits for those at its exit, and a copy to a hung
    file server must not keep a worker from ending.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        """Starts it."""
        self._work = work
        self._done = threading.Event()
        self._future: Future[T] = Future()
        threading.Thread(target=self._run, name="aside", daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; False when that did not come in time."""
        return self._done.wait(timeout_s)

    def result(self) -> T:
        """What came of it, once it has ended. Raises what the work did."""
        return self._future.result()

    def _run(self) -> None:
        try:
            self._future.set_result(self._work())
        except BaseException as error:  # noqa: BLE001 - it is raised in the caller's thread
            self._future.set_exception(error)
        self._done.set()


def aside(work: Callable[[], T], between: Callable[[], None], every_s: float = 0.5) -> T:
    """The result of ``work``, done beside while ``between`` is called now and then.

    When ``between`` raises, ``work`` is left to itself.
    """
    one = Aside(work)
    while not one.wait(every_s):
        between()
    return one.result()
