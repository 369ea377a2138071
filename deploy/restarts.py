"""How often a part that keeps ending is started again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0


@dataclass
class RestartBudget:
    """At most `limit` restarts in any `window_s` seconds, each later than the one before."""

    clock: Callable[[], float]
    limit: int = 5
    window_s: float = 300.0
    _past: deque[float] = field(default_factory=deque)

    def next_delay_s(self) -> float | None:
        """Seconds to wait before the restart that is due, or None when the budget is spent."""
        now = self.clock()
        while self._past and now - self._past[0] > self.window_s:
            self._past.popleft()
        if len(self._past) >= self.limit:
            return None
        delay_s = min(FIRST_DELAY_S * 2.0 ** len(self._past), LONGEST_DELAY_S)
        self._past.append(now)
        return delay_s

    @property
    def used(self) -> int:
        """Restarts within the window so far."""
        return len(self._past)
