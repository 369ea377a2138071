"""The JSON API, one file a resource. A route is one function in its resource's file."""

from __future__ import annotations

from api.openapi import ApiBlueprint
from api.routes import (
    artifacts,
    boards,
    catalog,
    checkpoints,
    experiments,
    health,
    lengthening,
    logs,
    metrics,
    own_sources,
    pausing,
    pool,
    predictions,
    reruns,
    specs,
    stream,
    tokens,
    trials,
    turns,
    upkeep,
    uploads,
    users,
)

BLUEPRINTS: tuple[ApiBlueprint, ...] = (
    experiments.routes,
    trials.routes,
    turns.routes,
    pausing.routes,
    lengthening.routes,
    reruns.routes,
    metrics.routes,
    logs.routes,
    own_sources.routes,
    checkpoints.routes,
    artifacts.routes,
    predictions.routes,
    boards.routes,
    catalog.routes,
    uploads.routes,
    specs.routes,
    pool.routes,
    upkeep.routes,
    users.routes,
    tokens.routes,
    stream.routes,
    health.routes,
)
