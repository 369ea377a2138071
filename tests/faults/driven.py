"""A real pool and the plain model of it, side by side: their time, and how they are compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import claims
from db.clock import POSTGRES_SETTING
from db.engine import Database
from db.errors import FencedOff
from labpool.catalog import Catalog
from labpool.planning import Plan
from tests.faults import expected, expected_groups
from tests.faults.comparing import differences
from tests.faults.expected_groups import Measured

T = TypeVar("T")

TTL_S = 90.0
SILENCE_LIMIT_S = 90.0
_EPOCH = 1.8e9
# Which of a list, from its end; what is at hand more often than what is long past.
picks = st.sampled_from((0, 0, 0, 0, 1, 1, 2, 3, 5, 8))


@dataclass(frozen=True, slots=True)
class Holding:
    """What a slot was given, as it remembers it, whatever has become of it."""

    lease: int
    slot: int
    fences: dict[int, int]


class DrivenPool(RuleBasedStateMachine):
    """A pool without rules. A subclass names the database."""

    database: ClassVar[Database]
    catalog: ClassVar[Catalog]
    plans: ClassVar[dict[str, Plan]]
    compared: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.pool = expected.Pool()
        self.slots: list[claims.SlotIdentity] = []
        self.draining: set[str] = set()
        self.gone: set[str] = set()
        self.holdings: list[Holding] = []
        self.people: list[int] = []
        self.signs: dict[str, float] = {}

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One at which the database's clock stands at the model's time."""
        offset = _EPOCH + self.pool.now - time.time()
        self.database.clock_offset_s = offset
        with self.database.transaction() as session:
            if self.database.dialect == "postgresql":
                session.execute(select(func.set_config(POSTGRES_SETTING, str(offset), True)))
            yield session

    @invariant()
    def agree(self) -> None:
        """The tables and the event log hold what the model says, after every step."""
        type(self).compared += 1
        with self.database.snapshot() as session:
            found = list(differences(session, self.pool))
            self.remember(session)
        assert not found, "; ".join(found)

    def remember(self, session: Session) -> None:
        """Keep what was read, for those who act on it later."""

    def _busy(self, identity: claims.SlotIdentity) -> bool:
        return self.pool.busy(identity.slot_id)

    def _may_claim(self, identity: claims.SlotIdentity) -> bool:
        barred = {*self.draining, *self.gone}
        return identity.worker_id not in barred and not self.pool.busy(identity.slot_id)

    def _companions(
        self, head: int, identity: claims.SlotIdentity, wanted: int | Measured
    ) -> list[int]:
        """Who must come along with this trial to that slot."""
        others = [one for one in self.slots if one is not identity]
        idle = 1 + sum(self._may_claim(one) and self._gives_signs(one) for one in others)
        return expected_groups.companions(self.pool, self.pool.trials[head], wanted, idle)

    def _gives_signs(self, identity: claims.SlotIdentity) -> bool:
        return self.pool.now - self.signs[identity.worker_id] <= SILENCE_LIMIT_S

    def _member(self, which: int, member: int) -> tuple[int, int]:
        holding: Holding = pick(self.holdings, which)
        return pick(list(holding.fences.items()), member)

    def _write(
        self,
        trial_id: int,
        fence: int,
        real: Callable[[Session], None],
        told: Callable[[expected.Trial], None],
    ) -> None:
        self._both(real, lambda: told(self.pool.own(trial_id, fence)), FencedOff)

    def _both(
        self, real: Callable[[Session], None], told: Callable[[], None], kind: type[Exception]
    ) -> None:
        """Both do it, or both refuse."""
        wanted = refusal(told, expected.Refused)

        def commit() -> None:
            with self.transaction() as session:
                real(session)

        found = refusal(commit, kind)
        assert (found is None) == (wanted is None), f"{found!r}, it must be {wanted!r}"


def refusal(work: Callable[[], object], kind: type[Exception]) -> Exception | None:
    """The error of this kind that the work ends with, if it does."""
    try:
        work()
    except kind as error:
        return error
    return None


def pick(items: Sequence[T], which: int) -> T:
    """One of them, the newest first, so that small numbers mean what is at hand."""
    return items[-1 - which % len(items)]
