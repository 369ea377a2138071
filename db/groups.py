"""Which waiting trials come along with the one whose turn it is, to be trained together with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import turns
from db.clock import db_now
from db.models import Checkpoint, Experiment, Lease, Slot, Trial, Worker
from db.states import SlotState
from db.turns import SlotIdentity
from labpool.fusing import MOST_TOGETHER, fuse_of

# Of those that are alike some may stand at another epoch.
_LOOKED_AT = 2 * MOST_TOGETHER


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many trials a slot would train together, by their trace key.

    ``auto``: what it has measured to pay; what is not among them runs alone. ``unfit``: what cannot
    be trained together at all.
    """

    auto: Mapping[str, int] = field(default_factory=dict)
    unfit: Collection[str] = ()


def companions(
    session: Session, slot: SlotIdentity, head: Trial, wanted: int | Sizes
) -> Sequence[Trial]:
    """Waiting siblings of ``head`` that come with it to ``slot``.

    With ``Sizes`` the experiment says how many it wants together, and slots that stand idle are
    left their part. A plain number is taken as it is.
    """
    if isinstance(wanted, int):
        return turns.siblings(session, slot, head, wanted - 1)
    most = _wanted(session, head, wanted)
    if most < 2:
        return ()
    alike = turns.siblings(session, slot, head, _LOOKED_AT)
    stand_at = _epochs(session, [head, *alike])
    alike = [one for one in alike if stand_at.get(one.id, 0) == stand_at.get(head.id, 0)]
    share = -(-(len(alike) + 1) // max(1, _idle(session, slot, head)))
    return alike[: min(most, share) - 1]


def _wanted(session: Session, head: Trial, sizes: Sizes) -> int:
    if head.fuse_key is None or head.alone or head.trace_key in sizes.unfit:
        return 1
    said = fuse_of(session.get_one(Experiment, head.experiment_id).spec)
    if said == "auto":
        return sizes.auto.get(head.trace_key or "", 1)
    return 1 if said == "off" else min(said, MOST_TOGETHER)


def _epochs(session: Session, trials: Sequence[Trial]) -> dict[int, int]:
    """The epoch that each goes on from; without those that begin."""
    ran = [trial.id for trial in trials if trial.fence > 0]
    if not ran:
        return {}
    newest = (
        select(Checkpoint.trial_id, func.max(Checkpoint.epoch))
        .where(Checkpoint.trial_id.in_(ran), Checkpoint.deleted_at.is_(None))
        .group_by(Checkpoint.trial_id)
    )
    return {trial_id: epoch or 0 for trial_id, epoch in session.execute(newest)}


def _idle(session: Session, slot: SlotIdentity, head: Trial) -> int:
    """Slots that could take a part now, this one among them."""
    live = select(Lease.id).where(Lease.slot_id == Slot.id, Lease.ended_at.is_(None))
    free = (
        select(func.count())
        .select_from(Slot)
        .join(Worker, Worker.id == Slot.worker_id)
        .where(
            Slot.id != slot.slot_id,
            Slot.state == SlotState.READY,
            Slot.device.in_(["cpu", "gpu"] if head.device == "any" else [head.device]),
            Worker.stopped_at.is_(None),
            Worker.drain_at.is_(None),
            db_now() - Worker.seen_at <= Worker.silence_limit_s,
            ~live.exists(),
        )
    )
    return 1 + (session.scalar(free) or 0)
