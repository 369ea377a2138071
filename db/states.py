"""The words that rows hold."""

from __future__ import annotations

from enum import StrEnum


class TrialState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    PRUNED = "pruned"


TERMINAL = frozenset(
    {
        TrialState.SUCCEEDED,
        TrialState.FAILED,
        TrialState.CANCELLED,
        TrialState.LOST,
        TrialState.PRUNED,
    }
)


class Wish(StrEnum):
    """What is asked of a trial, short of cancelling it: by its owner, or to prune by its search."""

    PAUSE = "pause"
    STOP = "stop"
    PRUNE = "prune"


class Role(StrEnum):
    MEMBER = "member"
    ADMIN = "admin"


class Purpose(StrEnum):
    """What a token is good for."""

    API = "api"
    SIGN_IN = "sign_in"
    SESSION = "session"


class SlotState(StrEnum):
    READY = "ready"
    QUARANTINED = "quarantined"
    GONE = "gone"


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    PRUNED = "pruned"
    RELEASED = "released"
    LOST = "lost"


class PredictionState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


OPEN_PREDICTIONS = (PredictionState.WAITING, PredictionState.RUNNING)
