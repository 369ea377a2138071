"""Uploads: recorded within a quota, found by who may see them, deleted when nothing needs them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from db import clock
from db.errors import NotPossible
from db.models import Trial, Upload, User
from db.states import TERMINAL
from labpool.errors import LabpoolError
from labpool.uploads import DIGEST, UploadFacts


class QuotaFull(LabpoolError):
    """There is no room for this upload."""


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An upload with its owner's name."""

    upload: Upload
    owner: str

    @property
    def facts(self) -> UploadFacts:
        """What planning needs of it."""
        row = self.upload
        kind: Any = row.kind
        return UploadFacts(
            self.owner, row.name, row.key, row.sha256, kind, row.shape, row.counts, row.test,
            row.class_names,
        )  # fmt: skip


def add_upload(session: Session, owner: User, upload: Upload, quota_bytes: int) -> Upload:
    """Record ``upload`` for ``owner``. Raises QuotaFull, and NotPossible when the name is taken."""
    # Two uploads at once must not both see room for one.
    session.execute(select(User.id).where(User.id == owner.id).with_for_update())
    if _of(session, owner.id, upload.name) is not None:
        raise NotPossible(
            f"you have an upload {upload.name!r} already; delete it, or choose another name"
        )
    used = used_bytes(session, owner.id)
    if used + upload.bytes > quota_bytes:
        raise QuotaFull(
            f"It takes {upload.bytes} bytes, your others {used}, and you may have {quota_bytes}. "
            "Delete one that you need no more."
        )
    upload.owner_id, upload.created_at = owner.id, clock.now(session)
    session.add(upload)
    session.flush()
    return upload


def used_bytes(session: Session, owner_id: int) -> int:
    """What a user's uploads take in the store."""
    there = (Upload.owner_id == owner_id, Upload.deleted_at.is_(None))
    return int(session.scalar(select(func.sum(Upload.bytes)).where(*there)) or 0)


def uploads_for(session: Session, viewer_id: int | None) -> Sequence[UploadRow]:
    """The uploads that a user may see, by owner and name; None sees all of them."""
    query = _rows(*_seen_by(viewer_id)).order_by(User.name, Upload.name)
    return [UploadRow(upload, owner) for upload, owner in session.execute(query)]


def digests_there(session: Session, digests: Collection[str]) -> set[str]:
    """Which of these sha256 are those of uploads that were not deleted."""
    there = select(Upload.sha256).where(Upload.sha256.in_(digests), Upload.deleted_at.is_(None))
    return set(session.scalars(there))


def upload_row(session: Session, upload_id: int, viewer_id: int | None) -> UploadRow | None:
    """One that the viewer may see."""
    found = session.execute(_rows(Upload.id == upload_id, *_seen_by(viewer_id))).first()
    return None if found is None else UploadRow(*found)


def facts_of(
    session: Session, names: Collection[str], viewer_id: int | None
) -> list[UploadFacts]:  # fmt: skip
    """Of these full names those that exist and that the viewer may use."""
    wanted = [name.split("/", 1) for name in names]
    rows = session.execute(
        _rows(
            User.name.in_({owner for owner, _ in wanted}),
            Upload.name.in_({name for _, name in wanted}),
            *_seen_by(viewer_id),
        )
    )
    found = [UploadRow(upload, owner).facts for upload, owner in rows]
    return [facts for facts in found if facts.full_name in names]


def facts_by_key(session: Session, key: str) -> UploadFacts | None:
    """The upload whose file has this key; a deleted one's row still tells what it held."""
    query = (
        select(Upload, User.name).join(User, User.id == Upload.owner_id).where(Upload.key == key)
    )
    found = session.execute(query).first()
    return None if found is None else UploadRow(*found).facts


def share_upload(session: Session, upload: Upload) -> None:
    """Let everybody see it, and what trials made of it. For good: what was seen is known."""
    session.refresh(upload, with_for_update=True)
    upload.public = True


def delete_upload(session: Session, upload: Upload, owner: str) -> None:
    """Delete it; its file is the caller's to delete, when this is durable.

    Raises NotPossible while a trial that has not ended needs it.
    """
    session.refresh(upload, with_for_update=True)
    needed = session.scalar(
        select(func.count())
        .select_from(Trial)
        .where(
            Trial.data_digest == DIGEST,
            Trial.data_name == f"{owner}/{upload.name}",
            Trial.state.not_in(TERMINAL),
        )
    )
    if needed:
        raise NotPossible(
            f"{needed} trials that have not ended need it; cancel them, or wait for them"
        )  # fmt: skip
    upload.deleted_at = clock.now(session)


def refuse_deleted(session: Session, keys: Collection[str]) -> None:
    """Raises NotPossible when an upload was deleted since the spec was checked.

    Holds those that are there until the transaction ends.
    """
    if not keys:
        return
    there = session.scalars(
        select(Upload.key)
        .where(Upload.key.in_(keys), Upload.deleted_at.is_(None))
        .with_for_update(read=True)
    )
    if set(keys) - set(there):
        raise NotPossible("an upload that the spec names was deleted in the meantime")


def _of(session: Session, owner_id: int, name: str) -> Upload | None:
    return session.scalars(
        select(Upload).where(
            Upload.owner_id == owner_id, Upload.name == name, Upload.deleted_at.is_(None)
        )
    ).one_or_none()


def _rows(*conditions: ColumnElement[bool]) -> Any:
    return (
        select(Upload, User.name)
        .join(User, User.id == Upload.owner_id)
        .where(Upload.deleted_at.is_(None), *conditions)
    )


def _seen_by(viewer_id: int | None) -> tuple[ColumnElement[bool], ...]:
    if viewer_id is None:
        return ()
    return (or_(Upload.owner_id == viewer_id, Upload.public.is_(True)),)
