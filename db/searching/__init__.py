"""Sweeps that decide as they go.

What moves a trial of such a sweep lets its search decide in the same transaction, under the sweep's
lock. The search is a function of the rows alone, so there is nothing else to keep, and nothing to
repair after a crash.
"""

from __future__ import annotations

from db.searching.advancing import advance, begin, told
from db.searching.locking import (
    lets_its_sweep_go_on,
    lock_sweeps,
    lock_sweeps_of,
    moves_its_sweep,
    sweep_lock,
)
from db.searching.reports import add_missing, add_reports, hears

__all__ = [
    "add_missing",
    "add_reports",
    "advance",
    "begin",
    "hears",
    "lets_its_sweep_go_on",
    "lock_sweeps",
    "lock_sweeps_of",
    "moves_its_sweep",
    "sweep_lock",
    "told",
]
