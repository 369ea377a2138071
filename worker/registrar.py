"""Keeps a worker known to the database, and takes back what silent workers left."""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from sqlalchemy.orm import Session

from db import migrate
from db.bell import Bell
from db.claims import SlotIdentity
from db.engine import Database
from db.errors import DatabaseNewer, DatabaseOlder, ForeignStore, SecondHost
from db.sweeper import Sweeper, sweep_expired, take_back_from_dead
from db.workers import (
    SlotInfo,
    WorkerInfo,
    beat_worker,
    neighbours_on_cpu,
    register_worker,
    stop_worker,
)
from labpool.uploads import DIGEST as UPLOADS
from labpool.version import version
from worker.database_access import DatabaseAway
from worker.devices import Device
from worker.host import Host

logger = logging.getLogger(__name__)

RETRY_S = 1.0


class Registrar:
    """A thread: registers the worker once the database can be reached, then beats and sweeps."""

    def __init__(
        self,
        host: Host,
        database: Database,
        devices: Sequence[Device],
        bell: Bell,
        enrol: Callable[[Sequence[SlotIdentity]], None],
        refuse: Callable[[str], None],
    ) -> None:
        """``enrol`` gets the slots' identities; ``refuse`` why this worker may not work at all."""
        self._host = host
        self._database = database
        self._devices = devices
        self._bell = bell
        self._enrol = enrol
        self._refuse = refuse
        self._dead: tuple[str, ...] = ()
        self._registered = False
        self._stopping = threading.Event()
        self._sweep_due_s = 0.0
        self._thread = threading.Thread(target=self._run, name="registrar", daemon=True)

    def start(self, dead: Sequence[str] = ()) -> None:
        """``dead`` are the ids of workers of this host that no longer run."""
        self._dead = tuple(dead)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Sign off. Call it when every slot has given back what it held."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._register()
            while not self._stopping.wait(self._host.settings.beat_s):
                self._beat()
        except (SecondHost, ForeignStore, DatabaseNewer) as error:
            self._refuse(str(error))
        except Exception as error:
            # Without this thread the worker would be there and never work.
            logger.exception("this worker could not be registered")
            self._refuse(f"It could not be registered: {error}")
        finally:
            self._sign_off()

    def _register(self) -> None:
        info, slots, told = self._info(), self._slots(), False
        while not self._stopping.is_set():
            try:
                self._host.database.attempt(lambda: migrate.check(self._database))
                ids = self._host.database.write(
                    lambda session: register_worker(session, info, slots)
                )
            except DatabaseAway:
                pass
            except DatabaseOlder as error:
                if not told:
                    logger.warning("%s Waiting for that.", error)
                told = True
            else:
                self._registered = True
                self._enrol(
                    [
                        self._identity(slot_id, slot)
                        for slot_id, slot in zip(ids, slots, strict=True)
                    ]
                )
                self._beat()
                self._warn_of_neighbours(info)
                return
            self._stopping.wait(RETRY_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    def _warn_of_neighbours(self, info: WorkerInfo) -> None:
        """Tell that this host's processor is offered twice."""
        if all(device.kind != "cpu" for device in self._devices):
            return
        with suppress(DatabaseAway):
            there = self._host.database.read(lambda session: neighbours_on_cpu(session, info))
            for worker_id, pid, count in there:
                logger.warning(
                    "another worker of this host (%s, process %d) offers its processor too (slots: "
                    "%d): trials of both share the same cores; stop one of them, or set "
                    "LABPOOL_SLOTS and LABPOOL_THREADS_PER_SLOT for each",
                    worker_id,
                    pid,
                    count,
                )

    def _beat(self) -> None:
        try:
            silent_s = self._host.database.write(
                lambda session: beat_worker(session, self._host.worker_id)
            )
            if silent_s > self._host.settings.lease_ttl_s:
                # A host that slept finds everybody's lease past, and has seen no outage.
                self._host.database.note_absence()
            self._take_back_from_dead()
            self._sweep_if_due()
        except DatabaseAway:
            pass
        except SecondHost:
            raise
        except Exception:
            logger.exception("a heartbeat of this worker failed")

    def _take_back_from_dead(self) -> None:
        """What a predecessor on this host held can go on at once."""
        if not self._dead:
            return
        settings = self._host.settings

        def take_back(session: Session) -> list[int]:
            for worker_id in self._dead:
                stop_worker(session, worker_id)
            return take_back_from_dead(session, self._dead, settings.max_losses)

        taken = self._host.database.write(take_back)
        self._dead = ()
        if taken:
            logger.warning("taken back from dead workers of this host: trials %s", taken)
            self._bell.ring()

    def _sweep_if_due(self) -> None:
        """Take back expired leases, unless the database was away not long ago.

        Then every lease looks expired, and their owners must have their time to beat again.
        """
        settings, now = self._host.settings, self._host.clock()
        if now < self._sweep_due_s or not self._host.database.quiet_for(settings.lease_ttl_s):
            return
        self._sweep_due_s = now + settings.poll_s * random.uniform(0.5, 1.0)  # noqa: S311
        sweeper = Sweeper(self._host.worker_id, settings.lease_ttl_s)
        taken = self._host.database.write(
            lambda session: sweep_expired(session, settings.max_losses, sweeper)
        )
        if taken:
            logger.warning("taken back from silent workers: trials %s", taken)
            self._bell.ring()

    def _sign_off(self) -> None:
        if not self._registered:
            return
        try:
            self._host.database.write(lambda session: stop_worker(session, self._host.worker_id))
        except Exception as error:  # noqa: BLE001 - it will be seen to be silent
            logger.warning("this worker could not sign off: %s", error)

    def _info(self) -> WorkerInfo:
        catalog, settings = self._host.catalog, self._host.settings
        return WorkerInfo(
            worker_id=self._host.worker_id,
            host=self._host.name,
            pid=os.getpid(),
            version=version(),
            code_digests=sorted(
                {entry.digest for entry in (*catalog.models.values(), *catalog.kernels.values())}
            ),
            data_digests=sorted({*(entry.digest for entry in catalog.datasets.values()), UPLOADS}),
            store_id=self._host.store.store_id,
            silence_limit_s=max(settings.lease_ttl_s, 3 * settings.beat_s),
        )

    def _slots(self) -> list[SlotInfo]:
        return [
            SlotInfo(
                index=index,
                device=device.kind,
                name=device.label,
                kinds=device.kinds,
                gpu_uuid=device.gpu_uuid,
                memory_mb=device.memory_mb,
            )
            for index, device in enumerate(self._devices)
        ]

    def _identity(self, slot_id: int, slot: SlotInfo) -> SlotIdentity:
        info = self._info()
        return SlotIdentity(
            slot_id=slot_id,
            worker_id=info.worker_id,
            device=slot.device,
            kinds=slot.kinds,
            code_digests=info.code_digests,
            data_digests=info.data_digests,
        )
