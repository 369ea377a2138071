"""What a slot stores of its trials: files first, then the rows that name them, many at once.

A slot that is a lease's only writer stores what its trials have brought meanwhile together: the
files beside each other, since a disk makes many durable in hardly more time than one, and the rows
in one transaction. A single trial is a group of one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from db.artifacts import ArtifactStore
from db.errors import FencedOff
from db.joint import jointly
from worker.database_access import DatabaseAccess
from worker.files import NotAsAnnounced, Outgoing, StoreRefused, publish_all


def _nothing(*_: Any) -> None:
    pass


@dataclass(slots=True)
class Write:
    """One thing that a trial's owner has to store.

    ``rows`` writes them, and is told whether an earlier try may have done so; what it returns goes
    to ``then`` once it is committed. ``filed`` is called when ``files`` were put or refused; False
    means that there is nothing to write any more. ``lost`` hears that the trial is somebody
    else's, and whether an earlier try may have written rows.
    """

    trial: int
    rows: Callable[[Session, bool], Any]
    then: Callable[[Any], None] = _nothing
    files: Sequence[Outgoing] = ()
    filed: Callable[[], bool] = lambda: True
    lost: Callable[[bool], None] = _nothing


@dataclass(slots=True)
class _Tries:
    count: int = 0
    done: dict[int, list[Any]] = field(default_factory=dict)
    lost: dict[int, FencedOff] = field(default_factory=dict)


class Writer:
    """Stores what the trials of one lease bring, at once or gathered; in the slot's thread."""

    def __init__(
        self,
        database: DatabaseAccess,
        store: ArtifactStore,
        beside: Callable[[Callable[[], None]], None],
        give_up: Callable[[], bool],
    ) -> None:
        """``beside`` does what may take long while heartbeats go on."""
        self.gathering = False
        """Whether what comes waits for `store_gathered`."""
        self._database, self._store = database, store
        self._beside, self._give_up = beside, give_up
        self._waiting: list[Write] = []

    @property
    def waiting(self) -> int:
        """How many writes are gathered."""
        return len(self._waiting)

    def add(self, write: Write) -> None:
        """Store it, or keep it with the others.

        What is not gathered raises FencedOff, NotAsAnnounced, and all raise DatabaseAway.
        """
        if self.gathering:
            self._waiting.append(write)
            return
        for error in self._carry_out([write]).values():
            raise error

    def store_gathered(self) -> dict[int, FencedOff | NotAsAnnounced]:
        """Store all that waits, in its order for each trial.

        Returns what kept a trial's writes from being stored; other trials' are. Raises
        DatabaseAway.
        """
        writes, self._waiting = self._waiting, []
        return self._carry_out(writes) if writes else {}

    def _carry_out(self, writes: Sequence[Write]) -> dict[int, FencedOff | NotAsAnnounced]:
        self._publish([file for write in writes for file in write.files])
        failed: dict[int, FencedOff | NotAsAnnounced] = {}
        due: dict[int, list[Write]] = {}
        for write in writes:
            wrong = [one.trouble for one in write.files if isinstance(one.trouble, NotAsAnnounced)]
            if wrong:
                failed.setdefault(write.trial, wrong[0])
            if write.trial in failed:
                write.lost(False)
            elif write.filed():
                due.setdefault(write.trial, []).append(write)
        if due:
            failed |= self._store_rows(due)
        return failed

    def _publish(self, files: Sequence[Outgoing]) -> None:
        if not files:
            return
        abandoned = threading.Event()
        try:
            self._beside(lambda: publish_all(self._store, files, abandoned.is_set))
        except StoreRefused as error:
            abandoned.set()
            for file in files:
                if not file.stored and file.trouble is None:
                    file.trouble = error

    def _store_rows(self, due: dict[int, list[Write]]) -> dict[int, FencedOff]:
        tries = _Tries()

        def store(session: Session) -> None:
            tries.count += 1
            again = tries.count > 1

            def of(writes: list[Write]) -> list[Any]:
                return [write.rows(session, again) for write in writes]

            works = {trial: (lambda mine=mine: of(mine)) for trial, mine in due.items()}
            tries.done, tries.lost = jointly(session, works)

        self._database.insist(store, self._give_up)
        for trial in tries.lost:
            for write in due[trial]:
                write.lost(tries.count > 1)
        for trial, results in tries.done.items():
            for write, result in zip(due[trial], results, strict=True):
                write.then(result)
        return tries.lost
