"""Which slots of the living workers can run a trial, and what the pool lacks when none can."""

from __future__ import annotations

from typing import Literal, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Slot, Trial, Worker
from db.states import SlotState
from db.workers import alive
from labpool.shares import gpu_of_share, is_share

_Pair = tuple[Slot, Worker]


class Needs(NamedTuple):
    """What a trial asks of a slot."""

    device: str
    kind: str
    code_name: str
    code_digest: str
    data_name: str | None
    data_digest: str | None

    @classmethod
    def of(cls, trial: Trial) -> Needs:
        return cls(
            trial.device, trial.kind, trial.code_name, trial.code_digest,
            trial.data_name, trial.data_digest,
        )  # fmt: skip


class Lack(NamedTuple):
    """What the pool does not have for a trial, by its kind and in a sentence."""

    kind: Literal[
        "worker", "service", "device", "package", "code", "data", "drained", "aside", "shared"
    ]
    sentence: str


class Serving:
    """The living slots as they are now, asked about one trial after another."""

    def __init__(self, session: Session) -> None:
        rows = session.execute(
            select(Slot, Worker).join(Worker, Worker.id == Slot.worker_id).where(alive())
        )
        self._all: list[_Pair] = [(slot, worker) for slot, worker in rows]
        self._ready = [pair for pair in self._all if pair[0].state is SlotState.READY]
        self._able: dict[Needs, tuple[Slot, ...]] = {}
        self._closed = [pair for pair in self._all if pair[0].state is SlotState.QUARANTINED]

    def able(self, needs: Needs) -> tuple[Slot, ...]:
        """The slots that may run it, sooner or later."""
        if needs not in self._able:
            fitting = _with_data(_with_code(_of_kind(self._ready, needs), needs), needs)
            self._able[needs] = tuple(slot for slot, _ in _working(fitting))
        return self._able[needs]

    def lacking(self, needs: Needs) -> str | None:
        """What it needs and the pool does not have; None when it only waits its turn."""
        lack = self.lack(needs)
        return None if lack is None else lack.sentence

    def lack(self, needs: Needs) -> Lack | None:
        """The same with its kind, for whoever is to mend it."""
        if not self._all:
            return Lack("worker", "No worker is connected; start one with `labpool worker`.")
        fitting = _of_kind(self._closed, needs)
        if fitting and not _of_kind(self._ready, needs):
            return Lack("service", _out_of_service(fitting))
        if not self._ready:
            says = "Every slot is out of service; an admin clears one by `labpool pool clear`."
            return Lack("service", says)
        device = needs.device.upper()
        if not any(needs.device in ("any", slot.device) for slot, _ in self._ready):
            return Lack("device", f"It needs a {device} slot; the pool has none at present.")
        fitting = _of_kind(self._ready, needs)
        if not fitting:
            return _without_kind(self._ready, needs)
        fitting = _with_code(fitting, needs)
        if not fitting:
            return Lack("code", _wants(needs.code_name, needs.code_digest))
        fitting = _with_data(fitting, needs)
        if not fitting:
            return Lack("data", _wants(needs.data_name or "", needs.data_digest or ""))
        return _set_aside(fitting)


def _of_kind(pairs: list[_Pair], needs: Needs) -> list[_Pair]:
    return [
        pair
        for pair in pairs
        if needs.device in ("any", pair[0].device) and needs.kind in pair[0].kinds
    ]


def _without_kind(ready: list[_Pair], needs: Needs) -> Lack:
    """Why the slots on such a device do not serve this kind of trial."""
    lacks = "pycuda" if needs.kind == "benchmark" else "TensorFlow"
    there = [slot for slot, _ in ready if needs.device in ("any", slot.device)]
    whole = [slot for slot in there if not is_share(slot.name)]
    says = [f"the workers of the pool have no {lacks}"] if whole else []
    if len(whole) < len(there):
        says.append("what shares a GPU only trains (LABPOOL_SLOTS_PER_GPU)")
    return Lack(
        "package" if whole else "shared",
        f"It needs a {needs.device.upper()} slot for {needs.kind} trials; {', and '.join(says)}.",
    )


def _with_code(pairs: list[_Pair], needs: Needs) -> list[_Pair]:
    return [pair for pair in pairs if needs.code_digest in pair[1].code_digests]


def _with_data(pairs: list[_Pair], needs: Needs) -> list[_Pair]:
    if needs.data_digest is None:
        return pairs
    return [pair for pair in pairs if needs.data_digest in pair[1].data_digests]


def _working(pairs: list[_Pair]) -> list[_Pair]:
    """Without those that claim nothing for a while: drained, or set aside for a reason."""
    return [pair for pair in pairs if pair[1].drain_at is None and pair[0].reason is None]


def _set_aside(pairs: list[_Pair]) -> Lack | None:
    """Why none of the slots that fit claims anything at present; None when one does."""
    if _working(pairs):
        return None
    undrained = [slot for slot, worker in pairs if worker.drain_at is None]
    if not undrained:
        return Lack("drained", "Every worker that could run it is being drained.")
    # Slots of one host mostly give one reason; each is said once.
    told = {
        (worker.host, gpu_of_share(slot.name) if slot.device == "gpu" else "", slot.reason): None
        for slot, worker in pairs
        if worker.drain_at is None
    }
    reasons = "; ".join(
        f"{host}{', ' if name else ''}{name}: {reason}" for host, name, reason in told
    )
    return Lack("aside", f"Every slot that could run it is set aside. {reasons}")


def _out_of_service(pairs: list[_Pair]) -> str:
    """Which devices could run it, why they are out of service, and what brings them back."""
    slots = {slot.gpu_uuid or str(slot.id): (slot, worker) for slot, worker in pairs}
    reasons = "; ".join(
        f"{worker.host}, {gpu_of_share(slot.name)}: {slot.reason or 'no reason given'}".rstrip(".")
        for slot, worker in slots.values()
    )
    return (
        f"Every slot that could run it is out of service. {reasons}. "
        f"An admin brings it back by `labpool pool clear {next(iter(slots))}`."
    )


def _wants(name: str, digest: str) -> str:
    return (
        f"No worker has the {name!r} that it was made from (digest {digest[:12]}); "
        "restart the workers on the version of the catalog that holds it, or submit it again."
    )
