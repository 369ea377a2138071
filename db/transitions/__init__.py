"""Every change of a trial's state, fence or lease is written in this package and nowhere else.

Each is one UPDATE whose WHERE clause holds the guard; it must report one row, else somebody else
was first and nothing happened. Each appends its event in the same transaction.
"""

from __future__ import annotations

from db.transitions.leases import end, own, requeue, start
from db.transitions.requests import cancel_waiting, enqueue, hold, request_cancel, resume, wish
from db.transitions.search import SEARCH, promote, prune_waiting, request_prune

__all__ = [
    "SEARCH",
    "cancel_waiting",
    "end",
    "enqueue",
    "hold",
    "own",
    "promote",
    "prune_waiting",
    "request_cancel",
    "request_prune",
    "requeue",
    "resume",
    "start",
    "wish",
]
