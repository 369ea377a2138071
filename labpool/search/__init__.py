"""How a sweep picks its trials. A new strategy is one file here and one line in ``STRATEGIES``."""

from __future__ import annotations

from labpool.search import grid, random
from labpool.search.base import Action, Create, Promote, Prune, Row, Search

STRATEGIES: dict[str, Search] = {"grid": grid.SEARCH, "random": random.SEARCH}

__all__ = ["STRATEGIES", "Action", "Create", "Promote", "Prune", "Row", "Search"]
