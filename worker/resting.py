"""Which idle slots of a worker have traced what, so that one can leave a trial to another."""

from __future__ import annotations

import threading
from collections.abc import Iterable

# Some times as long as the claim of a slot that heard the same bell.
LEAVE_S = 0.03


class Resting:
    """The idle slots of one worker, with the trace keys of each one's runner. For any thread."""

    def __init__(self) -> None:
        self._traced: dict[Seat, frozenset[str]] = {}
        self._changed = threading.Condition()

    def seat(self, device: str) -> Seat:
        """A slot's place in it. ``device`` is its kind: only its like can take its trials."""
        return Seat(self, device)

    def note(self, seat: Seat, traced: frozenset[str] | None) -> None:
        """What the slot there has traced; None when it does not rest."""
        with self._changed:
            self._traced.pop(seat, None)
            if traced is not None:
                self._traced[seat] = traced
            self._changed.notify_all()

    def elsewhere(self, seat: Seat) -> frozenset[str]:
        """What the slots in other seats have traced."""
        with self._changed:
            return self._elsewhere(seat)

    def await_rise(self, seat: Seat, key: str, timeout_s: float) -> None:
        """Wait until nobody rests in another seat who has traced it, or time is up."""
        with self._changed:
            self._changed.wait_for(lambda: key not in self._elsewhere(seat), timeout_s)

    def _elsewhere(self, seat: Seat) -> frozenset[str]:
        like = (one for one in self._traced if one is not seat and one.device == seat.device)
        return frozenset[str]().union(*(self._traced[one] for one in like))


class Seat:
    """Where one slot rests, between others."""

    def __init__(self, resting: Resting, device: str) -> None:
        self.device = device
        self._resting = resting

    def rest(self, traced: Iterable[str]) -> None:
        """The slot found no work; its runner has traced this."""
        self._resting.note(self, frozenset(traced))

    def rise(self) -> None:
        """The slot is at work, or cannot take any."""
        self._resting.note(self, None)

    def elsewhere(self) -> frozenset[str]:
        """What other idle slots of this kind of device have traced."""
        return self._resting.elsewhere(self)

    def leave(self, key: str) -> None:
        """Wait until no such slot rests with this trace, and for `LEAVE_S` at the most."""
        self._resting.await_rise(self, key, LEAVE_S)
