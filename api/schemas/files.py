"""Curves, logs, checkpoints and artifacts as the API shows them."""

from __future__ import annotations

from pydantic import BaseModel, Field

from api.schemas.base import Instant, Model, Query, RowPathId
from db.reads.curves import Curve, Curves
from db.reads.files import ArtifactRow, CheckpointRow


class CurvePoints(Model):
    """One metric; the lists go together. A value that was not finite is null."""

    steps: list[int]
    epochs: list[float | None]
    times_s: list[float] = Field(description="Seconds since the attempt began.")
    values: list[float | None]


class CurveSet(Model):
    """New points of the trial's current, or winning, attempt.

    `reset` is true when another attempt took over since the cursor was given: drop what you hold.
    """

    trial_id: int
    fence: int | None = Field(description="The attempt that these points belong to.")
    reset: bool
    more: bool = Field(description="There are further points already; ask again.")
    cursor: str = Field(description="Send as `since` to get only later points.")
    finished: bool = Field(description="The trial is in a final state.")
    curves: dict[str, CurvePoints]


class CurveQuery(Query):
    since: str | None = Field(
        default=None,
        pattern=r"^[0-9]{1,12}\.[0-9]{1,18}$",
        description="The cursor of an earlier answer.",
    )
    name: list[str] = Field(
        default=[], max_length=50, description="Only these metrics; may be repeated."
    )


class LogPart(Model):
    """A part of the log. Byte offsets; go on at `next_offset`."""

    trial_id: int
    fence: int | None
    offset: int
    next_offset: int
    total_bytes: int
    complete: bool = Field(description="The attempt has ended: nothing will be added.")
    truncated: bool = Field(description="Only the log's end is at hand.")
    text: str


class LogQuery(Query):
    offset: int = Field(default=0, ge=0, lt=2**53, description="First byte wanted.")
    fence: int | None = Field(
        default=None, ge=1, lt=2**53, description="An earlier attempt's log; the newest by default."
    )


class Checkpoint(Model):
    id: int
    fence: int
    epoch: int
    sha256: str
    size_bytes: int
    value: float | None = Field(
        description="What the model selects its best epoch by, on the validation split."
    )
    best: bool
    created_at: Instant
    url: str = Field(description="The file itself.")


class CheckpointList(Model):
    """Those still kept (the best and the newest), newest first."""

    checkpoints: list[Checkpoint]


class Artifact(Model):
    id: int
    fence: int
    name: str
    media_type: str
    sha256: str
    size_bytes: int
    created_at: Instant
    url: str = Field(description="The file itself.")


class ArtifactList(Model):
    artifacts: list[Artifact]


class CheckpointPath(BaseModel):
    trial_id: RowPathId
    checkpoint_id: RowPathId


class ArtifactPath(BaseModel):
    trial_id: RowPathId
    artifact_id: RowPathId


def curves_of(trial_id: int, found: Curves, finished: bool) -> CurveSet:
    return CurveSet(
        trial_id=trial_id,
        fence=found.fence,
        reset=found.reset,
        more=found.more,
        cursor=f"{found.fence or 0}.{found.last_chunk}",
        finished=finished,
        curves={curve.name: _points(curve) for curve in found.curves},
    )


def _points(curve: Curve) -> CurvePoints:
    # The columns come from our own tables and may be long: they are not checked point by point.
    return CurvePoints.model_construct(
        steps=curve.steps, epochs=curve.epochs, times_s=curve.times_s, values=curve.values
    )


def checkpoint_of(trial_id: int, row: CheckpointRow) -> Checkpoint:
    return Checkpoint.model_validate(
        {
            "id": row.id,
            "fence": row.fence,
            "epoch": row.epoch,
            "sha256": row.sha256,
            "size_bytes": row.size_bytes,
            "value": row.value,
            "best": row.best,
            "created_at": row.created_at,
            "url": f"/api/v1/trials/{trial_id}/checkpoints/{row.id}",
        }
    )


def artifact_of(trial_id: int, row: ArtifactRow) -> Artifact:
    return Artifact.model_validate(
        {
            "id": row.id,
            "fence": row.fence,
            "name": row.name,
            "media_type": row.media_type,
            "sha256": row.sha256,
            "size_bytes": row.size_bytes,
            "created_at": row.created_at,
            "url": f"/api/v1/trials/{trial_id}/artifacts/{row.id}",
        }
    )
