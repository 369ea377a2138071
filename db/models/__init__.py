"""Every table."""

from __future__ import annotations

from db.models.base import Base
from db.models.experiments import Experiment, IdempotencyKey, SweepReport
from db.models.own_kernels import Grant, KernelSource
from db.models.people import Token, Usage, User
from db.models.pool import Event, Lease, PoolSetting, Quarantine, Slot, Worker
from db.models.predictions import Prediction
from db.models.results import Artifact, Checkpoint, MetricChunk, Result
from db.models.trials import Attempt, Trial
from db.models.uploads import Upload

__all__ = [
    "Artifact",
    "Attempt",
    "Base",
    "Checkpoint",
    "Event",
    "Experiment",
    "Grant",
    "IdempotencyKey",
    "KernelSource",
    "Lease",
    "MetricChunk",
    "PoolSetting",
    "Prediction",
    "Quarantine",
    "Result",
    "Slot",
    "SweepReport",
    "Token",
    "Trial",
    "Upload",
    "Usage",
    "User",
    "Worker",
]
