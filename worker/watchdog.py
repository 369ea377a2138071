"""Ends the worker even when Celery cannot end itself.

A broker that accepts connections and never answers keeps Celery's main thread inside a read for
longer than any service manager waits. The slots do not depend on it, so neither may their end.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

logger = logging.getLogger(__name__)

CELERY_GRACE_S = 5.0


class Stoppable(Protocol):
    """What a watchdog ends before the process."""

    @property
    def exit_status(self) -> int: ...

    def close(self) -> None: ...

    def join(self) -> None: ...


class Watchdog:
    """A thread that sleeps until it is woken, then stops the slots and ends the process."""

    def __init__(
        self,
        pool: Stoppable,
        celery_grace_s: float = CELERY_GRACE_S,
        end: Callable[[int], None] = os._exit,
    ) -> None:
        self._pool = pool
        self._celery_grace_s = celery_grace_s
        self._end = end
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self._read_end, True)
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """The process is to end. Safe in a signal handler: it takes no lock and never waits."""
        # A pipe full of wake-ups that were not read yet needs no further one.
        with suppress(BlockingIOError):
            os.write(self._write_end, b"\x01")

    def _run(self) -> None:
        os.read(self._read_end, 1)
        try:
            self._pool.close()
            self._pool.join()
        except Exception:
            logger.exception("the slots could not be stopped in order")
        # With a status to report there is nothing to wait for: Celery would end with its own.
        if not self._pool.exit_status:
            time.sleep(self._celery_grace_s)
            logger.warning("Celery did not end by itself; the broker may hang. Ending the process.")
        for handler in logging.getLogger().handlers:
            handler.flush()
        sys.stdout.flush()
        sys.stderr.flush()
        self._end(self._pool.exit_status)
