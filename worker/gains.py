"""How many trials of an architecture a device trains together best, found out by training them.

Nothing is run for its own sake. The first trial of an architecture runs alone, and its speed is
noted; the next are tried together, ever more at a time for as long as each of them then costs
clearly less; the best size stays. The file outlives the worker.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from db.groups import Sizes
from labpool.fusing import LADDER, size_that_pays, step_of
from worker.devices import Device

logger = logging.getLogger(__name__)

MOST_KNOWN: Final = 512


class Gains:
    """Speeds measured on one kind of device, by trace key. Its methods may be called from any
    thread."""

    def __init__(self, file: Path) -> None:
        """``file`` is read now, if it is there and whole, and written after each measurement."""
        self._file = file
        self._lock = threading.Lock()
        self._speeds: OrderedDict[str, dict[int, float]] = OrderedDict(_read(file))
        self._limits: dict[str, int] = {}
        self._unfit: OrderedDict[str, None] = OrderedDict()

    def measured(self, key: str, together: int, speed: float) -> None:
        """A member of a group of so many, 1 being none, was trained with ``speed`` examples a
        second of its own share of the time."""
        step = step_of(together)
        with self._lock:
            known = self._speeds.pop(key, {})
            # Whatever else the machine does slows it; the fastest is nearest to what it can do.
            known[step] = max(speed, known.get(step, 0.0))
            self._speeds[key] = known
            while len(self._speeds) > MOST_KNOWN:
                self._speeds.popitem(last=False)
            self._write()

    def crashed(self, key: str, together: int) -> None:
        """A group of so many was too much: this worker tries no more than half as many."""
        with self._lock:
            self._limits[key] = max(1, together // 2)

    def cannot(self, key: str) -> None:
        """A runner has said that trials of this architecture cannot be trained together."""
        with self._lock:
            self._unfit[key] = None
            while len(self._unfit) > MOST_KNOWN:
                self._unfit.popitem(last=False)

    def sizes(self) -> Sizes:
        """What a claim asks for."""
        with self._lock:
            auto = {
                key: min(size_that_pays(speeds), self._limits.get(key, LADDER[-1]))
                for key, speeds in self._speeds.items()
            }
            return Sizes(auto, frozenset(self._unfit))

    def _write(self) -> None:
        text = json.dumps({key: list(speeds.items()) for key, speeds in self._speeds.items()})
        new = self._file.with_name(f"{self._file.name}.new")
        # It is measured again where it cannot be kept.
        with suppress(OSError):
            new.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(text, encoding="utf-8")
            new.replace(self._file)


def gains_of(data_dir: Path, device: Device) -> Gains:
    """Those of this kind of device, shared by the slots of a process."""
    said = f"{device.kind}, {device.name}, {device.threads} threads, 1 of {device.shares}"
    return _at(data_dir / "speeds" / f"{sha256(said.encode()).hexdigest()[:16]}.json")


@cache
def _at(file: Path) -> Gains:
    return Gains(file)


def _read(file: Path) -> dict[str, dict[int, float]]:
    try:
        told: Any = json.loads(file.read_text(encoding="utf-8"))
        return {
            str(key): {int(size): float(speed) for size, speed in speeds}
            for key, speeds in told.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        logger.warning("%s is of no use and begun anew: %s", file, error)
        return {}
