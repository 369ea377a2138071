"""Curves of many trials at once, in a few statements whatever their number.

What counts as a trial's curve is said in `db.reads.curves`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Attempt, Checkpoint, MetricChunk
from db.reads.curves import Curve

MOST_CHUNKS = 20_000

# By trial and fence: the epochs to which that attempt's points count, None for all.
_Pieces = Mapping[tuple[int, int], float | None]


def curves_of_many(
    session: Session,
    trial_ids: Sequence[int],
    names: Sequence[str] = (),
    most_chunks: int = MOST_CHUNKS,
) -> dict[int, dict[str, Curve]]:
    """By trial and name, the curves of these trials; `names` keeps only these metrics.

    The newest `most_chunks` chunks at most are read.
    """
    if not trial_ids:
        return {}
    pieces = _pieces(session, trial_ids)
    query = select(MetricChunk).where(MetricChunk.trial_id.in_(trial_ids))
    if names:
        query = query.where(MetricChunk.name.in_(names))
    found = session.scalars(query.order_by(MetricChunk.id.desc()).limit(most_chunks)).all()
    curves: dict[int, dict[str, Curve]] = {}
    # An older attempt's chunks have lower ids: those that count come before the newer ones.
    for chunk in reversed(found):
        if (chunk.trial_id, chunk.fence) in pieces:
            of_trial = curves.setdefault(chunk.trial_id, {})
            curve = of_trial.setdefault(chunk.name, Curve(chunk.name))
            _add(curve, chunk, pieces[chunk.trial_id, chunk.fence])
    return curves


def metric_names(session: Session, trial_ids: Sequence[int]) -> list[str]:
    """The names of all curves that these trials have."""
    query = select(MetricChunk.name).where(MetricChunk.trial_id.in_(trial_ids)).distinct()
    return sorted(session.scalars(query)) if trial_ids else []


def _pieces(session: Session, trial_ids: Sequence[int]) -> _Pieces:
    query = select(Attempt.trial_id, Attempt.fence, Attempt.resumed_epoch).where(
        Attempt.trial_id.in_(trial_ids)
    )
    attempts: dict[int, dict[int, int | None]] = {}
    for trial_id, fence, epoch in session.execute(query):
        attempts.setdefault(trial_id, {})[fence] = epoch
    resumed = [
        trial_id
        for trial_id, epochs in attempts.items()
        if any(epoch is not None for epoch in epochs.values())
    ]
    sources = _sources(session, resumed)
    return {
        (trial_id, fence): cap
        for trial_id, epochs in attempts.items()
        for fence, cap in _lineage(epochs, sources.get(trial_id, {}))
    }


def _lineage(
    epochs: Mapping[int, int | None], sources: Mapping[int, Sequence[int]]
) -> list[tuple[int, float | None]]:
    """(fence, last epoch that counts) of one trial's attempts, the newest first.

    `epochs` says by fence where an attempt resumed, `sources` by epoch who kept a checkpoint of it.
    """
    here, cap = max(epochs), None
    pieces: list[tuple[int, float | None]] = [(here, None)]
    while (epoch := epochs.get(here)) is not None:
        older = [fence for fence in sources.get(epoch, ()) if fence < here]
        if not older:
            break
        cap = epoch if cap is None else min(cap, epoch)
        here = max(older)
        pieces.append((here, cap))
    return pieces


def _sources(session: Session, trial_ids: Sequence[int]) -> dict[int, dict[int, list[int]]]:
    """By trial and epoch, the fences under which a checkpoint of it was kept."""
    if not trial_ids:
        return {}
    query = select(Checkpoint.trial_id, Checkpoint.epoch, Checkpoint.fence).where(
        Checkpoint.trial_id.in_(trial_ids)
    )
    found: dict[int, dict[int, list[int]]] = {}
    for trial_id, epoch, fence in session.execute(query):
        found.setdefault(trial_id, {}).setdefault(epoch, []).append(fence)
    return found


def _add(curve: Curve, chunk: MetricChunk, to_epoch: float | None) -> None:
    points = zip(chunk.steps, chunk.epochs, chunk.times_s, chunk.values, strict=True)
    for step, epoch, time_s, value in points:
        if to_epoch is not None and epoch is not None and epoch > to_epoch:
            continue
        curve.steps.append(step)
        curve.epochs.append(epoch)
        curve.times_s.append(time_s)
        curve.values.append(value)
