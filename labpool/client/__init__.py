"""Use a labpool service from scripts and notebooks. Needs none of the server's dependencies."""

from __future__ import annotations

from labpool.client.curves import Curve, Curves
from labpool.client.errors import (
    ApiError,
    BadAddress,
    ClientError,
    Damaged,
    FieldProblem,
    NoAnswer,
    NoService,
    NotThere,
    PandasMissing,
    SpecUnreadable,
    Unreachable,
    WaitTimeout,
)
from labpool.client.records import Experiment, Prediction, Snapshot, Submission, Trial, TrialDetail
from labpool.client.service import Client

__all__ = [
    "ApiError",
    "BadAddress",
    "Client",
    "ClientError",
    "Curve",
    "Curves",
    "Damaged",
    "Experiment",
    "FieldProblem",
    "NoAnswer",
    "NoService",
    "NotThere",
    "PandasMissing",
    "Prediction",
    "Snapshot",
    "SpecUnreadable",
    "Submission",
    "Trial",
    "TrialDetail",
    "Unreachable",
    "WaitTimeout",
]
