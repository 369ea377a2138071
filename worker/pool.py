"""All slots of one worker process, started and stopped together."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from db.artifacts import FolderStore
from db.bell import Bell
from db.claims import SlotIdentity
from db.engine import Database
from labpool.catalog import Catalog
from labpool.settings import Settings
from labpool.version import git_revision, version
from worker import bell as bells
from worker.clocks import since_boot_s
from worker.database_access import DatabaseAccess
from worker.devices import Device, host_devices
from worker.gpu_lock import lock_folder
from worker.gpu_use import GpuMonitor, NvmlMonitor
from worker.host import Host
from worker.predictor import Predictor
from worker.probe import COMMAND as PROBE
from worker.process import COMMAND
from worker.registrar import Registrar
from worker.resting import Resting
from worker.scratch import Scratch
from worker.slot import Slot
from worker.watched import WatchedRunner

logger = logging.getLogger(__name__)

# sysexits.h: the configuration is at fault, so starting again will not help.
EX_CONFIG = 78
SIGN_OFF_S = 5.0


class SlotPool:
    """The slots of this host and what they share.

    ``worker_id`` is random, made anew at each start: a restarted worker is another owner, so what
    its predecessor held can never be mistaken for its own.
    """

    def __init__(
        self,
        settings: Settings,
        devices: Sequence[Device] | None = None,
        command: Sequence[str] = COMMAND,
        clock: Callable[[], float] = time.monotonic,
        gpus: GpuMonitor | None = None,
        probe_command: Sequence[str] = PROBE,
    ) -> None:
        """Reads the catalog and finds the devices. Raises CatalogError, OSError."""
        self._settings = settings
        self.worker_id = secrets.token_hex(8)
        self.exit_status = 0
        self.on_refusal: Callable[[], None] = lambda: None
        if devices is None:
            devices = host_devices(
                settings.slots,
                settings.threads_per_slot,
                visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
                slots_per_gpu=settings.slots_per_gpu,
            )
        name = socket.gethostname()
        self._database = Database(settings.database, pool_size=2 * len(devices) + 3)
        self._bell = Bell(settings.broker)
        self._scratch = Scratch(settings.scratch_dir, self.worker_id, name)
        host = Host(
            settings=settings,
            database=DatabaseAccess(self._database, clock),
            store=FolderStore(settings.artifacts_dir),
            catalog=Catalog.load(settings.catalog_roots),
            scratch=self._scratch,
            worker_id=self.worker_id,
            name=name,
            versions={"labpool": version(), "git_revision": git_revision()},
            gpus=gpus or NvmlMonitor(),
            gpu_locks=_gpu_locks(settings, devices),
            probe_command=probe_command,
            clock=clock,
            lease_clock=since_boot_s if clock is time.monotonic else clock,
            ring=self._bell.ring,
        )
        self.slots = [Slot(host, index, device, command) for index, device in enumerate(devices)]
        resting = Resting()
        for slot in self.slots:
            slot.meet(self.slots, resting)
        self._predictor = Predictor(host, command, self._lend)
        self._registrar = Registrar(
            host, self._database, devices, self._bell, self._enrol, self._refused
        )
        self._clock = clock
        self._gives_back = False
        self._joined = False
        self._joining = threading.Lock()

    def start(self) -> None:
        """Start every thread; returns at once, with the database there or not. Raises OSError."""
        self._scratch.open()
        dead = self._scratch.remove_leftovers()
        if dead:
            logger.info("removed what dead workers left: %s", ", ".join(dead))
        bells.listen(self.ring)
        for slot in self.slots:
            slot.start()
        self._predictor.start()
        self._registrar.start(dead)
        logger.info("worker %s: %d slots", self.worker_id, len(self.slots))

    def ring(self) -> None:
        """There may be work: every slot looks, and the predictor."""
        for slot in self.slots:
            slot.ring()
        self._predictor.ring()

    def close(self) -> None:
        """Claim nothing more and give back what runs; returns at once."""
        self._gives_back = self._gives_back or any(slot.is_busy for slot in self.slots)
        # First: what a slot lent it ends with the slot.
        self._predictor.stop()
        for slot in self.slots:
            slot.stop()

    def join(self) -> None:
        """Wait, within the grace, until everything is given back, and sign off."""
        # Celery's thread and the watchdog's may both come; neither may leave before it is done.
        with self._joining:
            if not self._joined:
                self._join()
                self._joined = True

    def _join(self) -> None:
        deadline_s = self._clock() + self._settings.drain_grace_s + SIGN_OFF_S
        for slot in self.slots:
            if not slot.join(deadline_s - self._clock()):
                logger.error("slot %d did not end; its lease will run out", slot.index)
        if not self._predictor.join(deadline_s - self._clock()):
            logger.error("the predictor did not end; its lease will run out")
        bells.forget(self.ring)
        self._registrar.stop(SIGN_OFF_S)
        if self._gives_back:
            # Another worker may start it at once.
            self._bell.ring()
        self._bell.close(1.0)
        self._scratch.close()
        self._database.dispose()

    def info(self) -> dict[str, Any]:
        """What each slot does."""
        return {str(slot.index): slot.describe() for slot in self.slots}

    def _enrol(self, identities: Sequence[SlotIdentity]) -> None:
        for slot, identity in zip(self.slots, identities, strict=True):
            slot.enrol(identity)
        self._predictor.enrol()

    def _lend(self) -> WatchedRunner | None:
        lent = (slot.lend_standby() for slot in self.slots)
        return next((runner for runner in lent if runner is not None), None)

    def _refused(self, reason: str) -> None:
        logger.critical("this worker cannot work here: %s", reason)
        self.exit_status = EX_CONFIG
        self.on_refusal()


def _gpu_locks(settings: Settings, devices: Sequence[Device]) -> Path | None:
    if all(device.gpu_uuid is None for device in devices):
        return None
    folder, trouble = lock_folder(settings.gpu_lock_dir)
    if trouble is not None:
        logger.warning(
            "Another labpool on this host may use the same GPU at the same time: the GPUs' locks "
            "are in %s: %s. `labpool doctor` tells what to do.",
            folder,
            trouble,
        )
    return folder
