"""Uploads as the API shows them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from api.schemas.base import Instant, Model, RowPathId
from db.uploads import UploadRow


class Upload(Model):
    """A data set that somebody brought."""

    id: int
    name: str = Field(description="What a spec says as `dataset`: owner/name.")
    owner: str
    sha256: str
    bytes: int
    kind: Literal["image", "vector"]
    shape: list[int]
    classes: int
    class_names: list[str]
    counts: list[int] = Field(description="Examples by class.")
    test: int = Field(description="How many of the last examples are its own test set.")
    public: bool
    created_at: Instant


class UploadList(Model):
    uploads: list[Upload]


class UploadPath(BaseModel):
    upload_id: RowPathId = Field(description="The upload's number.")


def upload_of(row: UploadRow) -> Upload:
    found = row.upload
    return Upload.model_validate(
        {
            "id": found.id,
            "name": row.facts.full_name,
            "owner": row.owner,
            "sha256": found.sha256,
            "bytes": found.bytes,
            "kind": found.kind,
            "shape": found.shape,
            "classes": len(found.counts),
            "class_names": found.class_names,
            "counts": found.counts,
            "test": found.test,
            "public": found.public,
            "created_at": found.created_at,
        }
    )
