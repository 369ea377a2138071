"""The clock that leases are held by."""

from __future__ import annotations

import time


def since_boot_s() -> float:
    """Seconds that pass also while the machine sleeps: the database's leases run out meanwhile."""
    # Linux alone has it.
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
