"""A trial's curves: those of its newest attempt, back to where that attempt resumed.

Each point carries the fence it was written under, so a resumed trial has several overlapping
pieces. The curve of an attempt is its own points, and before the epoch it resumed at, the points of
the attempt whose checkpoint it took; points that a lost attempt made after that epoch are not part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from db.models import Attempt, Checkpoint, MetricChunk

MOST_CHUNKS = 4000
_LONGEST_LINEAGE = 50


@dataclass(slots=True)
class Curve:
    """Points of one metric, in the order they were made. A value that was not finite is None."""

    name: str
    steps: list[int] = field(default_factory=list)
    epochs: list[float | None] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Curves:
    """New points. `reset` says that what the caller holds belongs to another attempt.

    `last_chunk` is where to go on from; `more` says that there are further points already.
    """

    fence: int | None
    last_chunk: int
    reset: bool
    more: bool
    curves: Sequence[Curve]


def curves_since(
    session: Session,
    trial_id: int,
    *,
    seen_fence: int | None = None,
    seen_chunk: int = 0,
    names: Sequence[str] = (),
    most_chunks: int = MOST_CHUNKS,
) -> Curves:
    """The points after `seen_chunk` of the attempt `seen_fence`, or all of a newer attempt's.

    At most `most_chunks` chunks a call; `names` keeps only these metrics.
    """
    fence = session.scalar(select(func.max(Attempt.fence)).where(Attempt.trial_id == trial_id))
    reset = seen_fence is not None and seen_fence != fence
    if fence is None:
        return Curves(None, 0, reset, False, [])
    merged: dict[str, Curve] = {}
    begun = seen_fence == fence and seen_chunk > 0
    if not begun:
        for older, to_epoch in _lineage(session, trial_id, fence):
            for chunk in session.scalars(_chunks(trial_id, older, 0, names).limit(most_chunks)):
                _add(merged, chunk, to_epoch)
    after = seen_chunk if begun else 0
    found = session.scalars(_chunks(trial_id, fence, after, names).limit(most_chunks + 1)).all()
    for chunk in found[:most_chunks]:
        _add(merged, chunk, None)
    last = found[:most_chunks][-1].id if found else after
    return Curves(fence, last, reset, len(found) > most_chunks, list(merged.values()))


def latest_values(session: Session, trial_id: int, fence: int) -> dict[str, float | None]:
    """The newest value of each metric of one attempt, read from its last few chunks."""
    query = (
        select(MetricChunk.name, MetricChunk.values)
        .where(MetricChunk.trial_id == trial_id, MetricChunk.fence == fence)
        .order_by(MetricChunk.id.desc())
        .limit(16)
    )
    newest: dict[str, float | None] = {}
    for name, values in session.execute(query):
        if values and name not in newest:
            newest[name] = values[-1]
    return newest


def _chunks(trial_id: int, fence: int, after: int, names: Sequence[str]) -> Select[MetricChunk]:
    query = select(MetricChunk).where(
        MetricChunk.trial_id == trial_id, MetricChunk.fence == fence, MetricChunk.id > after
    )
    if names:
        query = query.where(MetricChunk.name.in_(names))
    return query.order_by(MetricChunk.id)


def _lineage(session: Session, trial_id: int, fence: int) -> list[tuple[int, int]]:
    """(fence, last epoch that counts) of the attempts before `fence`, oldest first."""
    query = select(Attempt.fence, Attempt.resumed_epoch).where(Attempt.trial_id == trial_id)
    resumed: dict[int, int | None] = dict(session.execute(query).all())
    pieces: list[tuple[int, int]] = []
    here, cap = fence, None
    while (epoch := resumed.get(here)) is not None and len(pieces) < _LONGEST_LINEAGE:
        source = session.scalar(
            select(func.max(Checkpoint.fence)).where(
                Checkpoint.trial_id == trial_id,
                Checkpoint.epoch == epoch,
                Checkpoint.fence < here,
            )
        )
        if source is None:
            break
        cap = epoch if cap is None else min(cap, epoch)
        pieces.append((source, cap))
        here = source
    return pieces[::-1]


def _add(merged: dict[str, Curve], chunk: MetricChunk, to_epoch: int | None) -> None:
    curve = merged.setdefault(chunk.name, Curve(chunk.name))
    points = zip(chunk.steps, chunk.epochs, chunk.times_s, chunk.values, strict=True)
    for step, epoch, time_s, value in points:
        if to_epoch is not None and epoch is not None and epoch > to_epoch:
            continue
        curve.steps.append(step)
        curve.epochs.append(epoch)
        curve.times_s.append(time_s)
        curve.values.append(value)
