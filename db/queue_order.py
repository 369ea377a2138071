"""The queue in the order in which free slots would take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from db import clock
from db.fairness import Place, Rules, Standing, Waiter, order
from db.models import Trial
from db.serving import Needs, Serving
from db.standings import standings
from db.states import TrialState
from db.turns import due


@dataclass(frozen=True, slots=True)
class Line:
    """Every waiting trial in its turn, what each needs, and how its owner stands."""

    now: float
    places: Sequence[Place]
    needs: Mapping[int, Needs]
    standings: Mapping[int, Standing]


def read_line(session: Session, rules: Rules, serving: Serving | None = None) -> Line:
    """The order that `db.claims` takes them in, told ahead.

    A slot passes over what it cannot serve, and takes out of turn what has waited for very long.
    What no slot can serve is not due.
    """
    serving = Serving(session) if serving is None else serving
    now = clock.now(session)
    known = standings(session, rules, now)
    query = select(
        Trial.id, Trial.owner_id, Trial.priority, and_(*due()), Trial.device, Trial.kind,
        Trial.code_name, Trial.code_digest, Trial.data_name, Trial.data_digest,
    ).where(Trial.state == TrialState.QUEUED)  # fmt: skip
    waiters = []
    needs: dict[int, Needs] = {}
    # A queue of thousands has a handful of different needs.
    met: dict[Needs, Needs] = {}
    for row in session.execute(query):
        asked = Needs(row[4], row[5], row[6], row[7], row[8], row[9])
        needs[row[0]] = met.setdefault(asked, asked)
        due_now = bool(row[3]) and bool(serving.able(needs[row[0]]))
        waiters.append(Waiter(row[0], row[1], row[2], due_now))
    return Line(now, order(waiters, known), needs, known)
