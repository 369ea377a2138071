"""Whether a slot is fit for work: room on the disks, a GPU that nobody else uses and that works."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence

from db.quarantine import quarantine, reason_for_slot
from db.workers import note_slot
from worker.aside import Aside
from worker.devices import CONTEXT_MB, MEBIBYTE, Device
from worker.free_space import lack_of_space
from worker.gpu_lock import GpuLock
from worker.gpu_use import used_by_others
from worker.host import Host
from worker.probe import trouble_with

logger = logging.getLogger(__name__)

# Less than a stopping worker waits.
LOOK_LIMIT_S = 5.0
TELL_AGAIN_S = 60.0


class Fitness:
    """What one slot looks at before it claims, and after its GPU failed. Used by its thread."""

    def __init__(self, host: Host, index: int, device: Device) -> None:
        self._host = host
        self._index = index
        self._device = device
        self._told: str | None = None
        self._told_at_s = host.clock()
        self._look: Aside[str | None] | None = None

    def hindrance(self, runner_has_worked: bool, gpu_lock: GpuLock | None) -> str | None:
        """Why the slot should claim nothing just now, in words.

        ``runner_has_worked`` is whether a runner of this worker may hold memory on the GPU.
        """
        lack = self._what_the_folders_lack()
        if lack is not None or self._device.gpu_uuid is None or gpu_lock is None:
            return lack
        # Asked before the look: what begins in between holds no memory yet.
        beside_bytes = self._neighbours_bytes() if gpu_lock.has_company() else 0
        use = self._host.gpus.look(self._device.gpu_uuid)
        if use is None:
            return None
        is_labpools = gpu_lock.is_open_in
        return used_by_others(use, runner_has_worked, is_labpools, neighbours_bytes=beside_bytes)

    def _neighbours_bytes(self) -> int:
        part_mb = (self._device.memory_mb or 0) + CONTEXT_MB
        return (self._device.shares - 1) * part_mb * MEBIBYTE

    def _what_the_folders_lack(self) -> str | None:
        # In a thread of its own: a file server that hangs must not keep the slot from saying so.
        # One that hung is waited for again, and no second one is sent after it.
        look = self._look = self._look or Aside(self._look_at_folders)
        if not look.wait(LOOK_LIMIT_S):
            return f"the artifact store ({self._host.settings.artifacts_dir}) does not answer"
        self._look = None
        return look.result()

    def _look_at_folders(self) -> str | None:
        try:
            self._host.store.check()
        except OSError as error:
            return str(error)
        settings = self._host.settings
        folders = {"scratch": settings.scratch_dir, "the artifact store": settings.artifacts_dir}
        return lack_of_space(folders, settings.min_free_mb)

    def tell(self, slot_id: int, hindrance: str | None) -> None:
        """Let people know why the slot claims nothing, once that changed. Raises DatabaseAway.

        Another amount is no change; it is written down again now and then.
        """
        now, is_news = self._host.clock(), _kind_of(hindrance) != _kind_of(self._told)
        if not is_news and (hindrance is None or now - self._told_at_s < TELL_AGAIN_S):
            return
        self._host.database.write(lambda session: note_slot(session, slot_id, hindrance))
        self._told, self._told_at_s = hindrance, now
        if is_news and hindrance is not None:
            logger.warning("slot %d claims nothing: %s", self._index, hindrance)

    def out_of_service(self, slot_id: int) -> str | None:
        """Why the slot's GPU is in quarantine; None when it is not. Raises DatabaseAway."""
        if self._device.gpu_uuid is None:
            return None
        reason = self._host.database.read(lambda session: reason_for_slot(session, slot_id))
        if reason is not None:
            # The slot's row has another reason now, and none once it is cleared.
            self._told = None
        return reason

    def trouble(self, stopping: Callable[[], bool], pass_fds: Sequence[int] = ()) -> str | None:
        """What is wrong with the GPU, tried with no runner of this slot on it. Raises OSError."""
        if self._device.gpu_uuid is None:
            return None
        home = self._host.scratch.slot_folder(self._index) / "probe"
        trouble = trouble_with(
            self._device, home, self._host.probe_command, stopping, pass_fds=pass_fds
        )
        if trouble is None:
            logger.warning("slot %d: its GPU was tried after a fault; nothing found", self._index)
        return trouble

    def quarantine(
        self, slot_id: int, trouble: str, fault: str, give_up: Callable[[], bool]
    ) -> None:
        """Put the GPU out of service: this is wrong with it. Raises DatabaseAway."""
        reason = f"{trouble} It was tried after a fault: {fault}"
        logger.error("slot %d: its GPU is out of service: %s", self._index, reason)
        self._host.database.insist(
            lambda session: quarantine(session, slot_id, self._host.name, reason), give_up
        )


def _kind_of(hindrance: str | None) -> str | None:
    return None if hindrance is None else re.sub(r"[\d.,]+ (?=[MG]iB)", "", hindrance)
