"""What the plain model of a pool is made of: trials, their attempts and checkpoints, leases."""

from __future__ import annotations

from dataclasses import dataclass, field

ENDED = frozenset({"succeeded", "failed", "cancelled", "lost", "pruned"})


class Refused(Exception):
    """The command or the write must be refused."""


@dataclass
class Attempt:
    """One claim of a trial."""

    lease: int
    began: float
    outcome: str | None = None
    charged: bool = True
    slot_seconds: float = 0.0


@dataclass
class Point:
    """A checkpoint in the store."""

    epoch: int
    fence: int
    best: bool
    kept: bool = True


@dataclass
class Trial:
    """A trial as it must be."""

    id: int
    experiment: int
    owner: int
    fuse_key: str | None = None
    benchmark: bool = False
    state: str = "queued"
    fence: int = 0
    losses: int = 0
    held: bool = False
    wish: str | None = None
    cancel: bool = False
    lease: int | None = None
    alone: bool = False
    not_before: float = 0.0
    result: int | None = None
    ended_early: bool = False
    points: list[Point] = field(default_factory=list)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    fuse: int | str = "off"

    @property
    def resume(self) -> tuple[int, int] | None:
        """Epoch and fence of the checkpoint to go on from."""
        return max(((p.epoch, p.fence) for p in self.points if p.kept), default=None)


@dataclass
class Lease:
    """A slot's allocation. ``left`` is the time at which each member left it."""

    slot: int
    expires: float
    began: float
    members: int
    live: bool = True
    left: list[float] = field(default_factory=list)
