"""The pool: who has which slot, the queue with the reason each trial waits, and who used what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session

from api.context import services
from api.pages.frame import page
from api.pages.upkeep import out_of_service
from api.paging import decode_cursor, encode_cursor
from api.schemas.pool import Held, Slot, Worker, pool_of
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id, shown_by_id
from db import clock
from db.fairness import Rules
from db.quarantine import in_force
from db.queue_order import Line, read_line
from db.reads.pool import HeldTrial, WorkerRow, queue_length, queue_page, workers
from db.reads.trials import TrialRow, rows_by_id
from db.reads.usage import UsageRow, usage_by_user
from db.waiting import reasons

pages = Blueprint("pool_pages", __name__)

_PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class HeldLine:
    """A trial on a slot, with a guess of the seconds to go."""

    held: Held
    started_at: float | None
    remaining_s: float | None


@dataclass(frozen=True, slots=True)
class SlotCard:
    slot: Slot
    held: list[HeldLine]


@dataclass(frozen=True, slots=True)
class WorkerCard:
    """A worker with its slots; `state` is alive, silent or stopped."""

    worker: Worker
    state: str
    stopped_at: float | None
    slots: list[SlotCard]


@dataclass(frozen=True, slots=True)
class Waits:
    """A waiting trial, its place in the order in which slots take them, and why it waits."""

    place: int
    trial: TrialRow
    reason: str


@pages.get("/pool")
@allow("member")
def show_pool() -> Response:
    owner_id = narrowed_owner_id(me())
    cursor = decode_cursor(request.args.get("cursor"), (int, int))
    after = (int(cursor[0] or 0), int(cursor[1] or 0)) if cursor else None
    with services().database.snapshot() as session:
        now = clock.now(session)
        rows = workers(session, with_stopped=True)
        closed = in_force(session)
        pool = pool_of(rows, queue_length(session), owner_id, closed)
        rules = Rules.of(services().settings)
        line = read_line(session, rules)
        places = queue_page(line, owner_id, after, _PER_PAGE + 1)
        queue = _queue(session, places[:_PER_PAGE], rules, line)
        usage = _usage(usage_by_user(session), owner_id)
    more = len(places) > len(queue)
    following = f"/pool?{urlencode({'cursor': encode_cursor(places[-2])})}" if more else None
    cards = [_card(row, worker, now) for row, worker in zip(rows, pool.workers, strict=True)]
    return page(
        "pool.html",
        section="Pool",
        title="Pool",
        pool=pool,
        cards=cards,
        quarantined=out_of_service(pool, closed),
        queue=queue,
        usage=usage,
        most_used_s=max((row.slot_seconds for row in usage), default=0.0),
        next_url=following,
        first_url="/pool" if cursor else None,
    )


def _queue(
    session: Session, places: Sequence[tuple[int, int]], rules: Rules, line: Line
) -> list[Waits]:
    ids = [trial_id for _, trial_id in places]
    waiting = reasons(session, ids, rules, line)
    rows = shown_by_id(session, rows_by_id(session, ids))
    return [Waits(place, rows[row_id], waiting.get(row_id, "")) for place, row_id in places]


def _usage(rows: Sequence[UsageRow], owner_id: int | None) -> list[UsageRow]:
    """Where results are private the others are one line: how busy they are, not who they are."""
    if owner_id is None:
        return list(rows)
    own = [row for row in rows if row.user_id == owner_id]
    others = [row for row in rows if row.user_id != owner_id]
    if not others:
        return own
    everybody_else = UsageRow(
        user_id=0,
        user="everybody else",
        slot_seconds=sum(row.slot_seconds for row in others),
        running=sum(row.running for row in others),
        queued=sum(row.queued for row in others),
    )
    return [*own, everybody_else]


def _card(row: WorkerRow, worker: Worker, now: float) -> WorkerCard:
    state = "alive" if row.alive else "stopped" if row.stopped_at else "silent"
    slots = [
        SlotCard(
            slot, [_line(held, of, now) for held, of in zip(slot.trials, own.held, strict=True)]
        )
        for slot, own in zip(worker.slots, row.slots, strict=True)
    ]
    return WorkerCard(worker, state, row.stopped_at, slots)


def _line(held: Held, row: HeldTrial, now: float) -> HeldLine:
    """The pace is that of this attempt alone: what it resumed from it did not do again."""
    remaining_s = None
    done = row.progress_done - row.resumed_at
    if row.started_at is not None and row.progress_total and done > 0 and not row.pending:
        left = max(0.0, row.progress_total - row.progress_done)
        remaining_s = max(0.0, now - row.started_at) / done * left
    return HeldLine(held, row.started_at, remaining_s)
