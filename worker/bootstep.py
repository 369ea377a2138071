"""The slots as a step of Celery's worker."""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.signals import worker_shutting_down

from labpool.settings import load_settings
from worker.pool import SlotPool
from worker.watchdog import Watchdog


class SlotsStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Slots start after Celery's pool and before its consumer, so before any broker is asked for.

    That order is the point: with no broker at all the slots still look for work by themselves.
    """

    requires = ("celery.worker.components:Pool",)
    label = "Slots"
    obj: SlotPool
    watchdog: Watchdog

    def create(self, _worker: Any) -> SlotPool:
        """Find the devices and build the slots."""
        pool = SlotPool(load_settings())
        self.watchdog = Watchdog(pool)
        pool.on_refusal = self.watchdog.wake
        return pool

    def start(self, _worker: Any) -> None:
        """Start the slots, and the watchdog that ends them."""
        self.watchdog.start()
        worker_shutting_down.connect(self._shutting_down, weak=False)
        self.obj.start()

    def close(self, _worker: Any) -> None:
        """Claim nothing more."""
        self.obj.close()

    def stop(self, _worker: Any) -> None:
        """Give back what runs, and wait for the slots."""
        self.obj.close()
        self.obj.join()

    terminate = stop

    def info(self, _worker: Any) -> dict[str, Any]:
        """What each slot does, for ``celery inspect stats``."""
        return {"slots": self.obj.info()}

    def _shutting_down(self, **_: Any) -> None:
        # Runs inside a signal handler: nothing here may take a lock.
        self.watchdog.wake()
