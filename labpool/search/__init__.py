"""How a sweep picks its trials and which go on. All of it is pure.

A new strategy is one file here and one line in ``STRATEGIES``, a new pruning one in ``PRUNERS``.
"""

from __future__ import annotations

from labpool.search.base import Action, Create, Promote, Prune, Pruning, Row, Search
from labpool.search.driving import (
    PRUNERS,
    STRATEGIES,
    advance,
    check,
    count,
    epochs,
    hears_epochs,
    heeds_results,
    reports,
)

__all__ = [
    "PRUNERS",
    "STRATEGIES",
    "Action",
    "Create",
    "Promote",
    "Prune",
    "Pruning",
    "Row",
    "Search",
    "advance",
    "check",
    "count",
    "epochs",
    "hears_epochs",
    "heeds_results",
    "reports",
]
