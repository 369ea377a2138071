"""A kernel's arrays in a device's memory: poisoned, guarded, and new for each sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from worker.runner.device import Device, Memory
from worker.runner.reasons import WrongResult

POISON = 0xFF
"""Bytes of all ones are a NaN in every type: an element that is not written shows, and so does a
read beside an array."""
GUARD_BYTES = 64 * 1024
ALIGNMENT = 256
"""As the device's own allocations have it: loads of sixteen bytes need some of it."""
MOST_SPARE_BYTES = 16 * 1024**2


class Placed:
    """One array in the device's memory between two guard zones.

    With `spare` bytes the array goes on from its beginning behind its end, so that a window of its
    length may begin anywhere within the spare bytes: other content for a kernel, for the price of
    another address.
    """

    def __init__(self, device: Device, count: int, dtype: DTypeLike, spare: int = 0) -> None:
        self._device, self._count, self._dtype = device, count, np.dtype(dtype)
        self.bytes = count * self._dtype.itemsize
        self._spare = spare
        self._held = device.allocate(2 * GUARD_BYTES + self.bytes + spare)
        self.poison()
        device.fill(device.part(self._held, 0, GUARD_BYTES), POISON)
        device.fill(self._part(self.bytes + spare, GUARD_BYTES), POISON)

    @property
    def windows(self) -> int:
        """How many windows there are."""
        return 1 + self._spare // ALIGNMENT

    def poison(self) -> None:
        """Queue: not one of its numbers is left."""
        self._device.fill(self._part(0, self.bytes + self._spare), POISON)

    def put(self, array: NDArray[Any]) -> None:
        """Queue: it holds `array`, up to the spare bytes; a host's array may not change before."""
        self._device.copy_in(self._part(0, self.bytes), np.ascontiguousarray(array).reshape(-1))

    def go_on(self) -> None:
        """Queue: the spare bytes are its beginning once more."""
        if self._spare:
            beginning = self._part(0, self._spare)
            self._device.copy_across(self._part(self.bytes, self._spare), beginning)

    def window(self, number: int = 0) -> Memory:
        """The memory that a kernel is given."""
        return self._part(number * ALIGNMENT, self.bytes)

    def fetch(self) -> NDArray[Any]:
        """What the first window holds, once everything queued has ended."""
        array = np.empty(self._count, self._dtype)
        self._device.copy_out(array, self.window())
        self._device.synchronize()
        return array

    def require_guarded(self, name: str, case: str) -> None:
        """Raises WrongResult when something was written beside it."""
        zones = {
            "before its beginning": self._device.part(self._held, 0, GUARD_BYTES),
            "behind its end": self._part(self.bytes + self._spare, GUARD_BYTES),
        }
        for where, zone in zones.items():
            found = np.empty(GUARD_BYTES, np.uint8)
            self._device.copy_out(found, zone)
            self._device.synchronize()
            if (found != POISON).any():
                raise WrongResult(f"{case}: the kernel writes to {name} {where}.")

    def free(self) -> None:
        """Give it back."""
        self._device.free(self._held)

    def _part(self, first: int, count: int) -> Memory:
        return self._device.part(self._held, GUARD_BYTES + first, count)


def rolled(array: NDArray[Any], window: int) -> NDArray[Any]:
    """What window number `window` of a placed `array` holds, in the array's shape."""
    return np.roll(array.reshape(-1), -window * ALIGNMENT // array.itemsize).reshape(array.shape)


def spare_for(array: NDArray[Any]) -> int:
    """Spare bytes with which a window of `array` may begin almost anywhere."""
    return int(min(array.nbytes, MOST_SPARE_BYTES)) // ALIGNMENT * ALIGNMENT


def shuffled(count: int, random: np.random.Generator) -> Iterator[int]:
    """The numbers below `count` in an order nobody can foresee; none again before all were."""
    while True:
        yield from random.permutation(count).tolist()
