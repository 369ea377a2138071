"""Taking in a data set that somebody sends, and letting specs name those that one may see.

The files are read in a process of its own with bounded memory and time, `labpool.readers`:
what is hostile in them can end that process and nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import uuid
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from flask import Flask, request
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage

from api.context import services
from api.problems import ApiProblem, FieldError, forbidden
from api.security.identity import me
from api.visibility import may_change
from db.errors import NotPossible
from db.models import Upload, User
from db.uploads import (
    QuotaFull,
    UploadRow,
    add_upload,
    delete_upload,
    facts_of,
    share_upload,
    upload_row,
    uploads_for,
)
from labpool.catalog import Catalog
from labpool.settings import CHECKOUT
from labpool.uploads import NAME, extended, named_in

MOST_FILES = 2
MOST_OFFERED = 100
READING_S = 180.0
# Beside the files: names, boundaries and the other fields of the form.
_FORM_BYTES = 64 * 1024
# Numbers packed by NPZ or gzip may take so many times the room.
_UNPACKED = 4
_LARGE: set[str] = set()


def takes_uploads(*endpoints: str) -> None:
    """Let these views have bodies as large as an upload."""
    _LARGE.update(endpoints)


def install(app: Flask) -> None:
    """Before the gate, which reads a form to find its token."""

    @app.before_request
    def allow_large() -> None:
        if request.endpoint in _LARGE:
            request.max_content_length = services().settings.max_upload_bytes + _FORM_BYTES


def catalog_for(spec: object) -> Catalog:
    """The catalog with those uploads that ``spec`` names and the viewer may use."""
    parts = services()
    names = named_in(spec)
    if not names:
        return parts.catalog
    with parts.database.snapshot() as session:
        return extended(parts.catalog, facts_of(session, names, seen_by()))


def catalog_to_choose_from(spec: object) -> Catalog:
    """The catalog with the viewer's own uploads, then public ones, and those that ``spec`` names.

    At most MOST_OFFERED of them beside the named ones.
    """
    parts, who = services(), me()
    with parts.database.snapshot() as session:
        rows = list(uploads_for(session, who.user_id))
        named = facts_of(session, names, seen_by()) if (names := named_in(spec)) else []
    rows.sort(key=lambda row: row.upload.owner_id != who.user_id)
    offered = {row.facts.full_name: row.facts for row in rows[:MOST_OFFERED]}
    return extended(parts.catalog, [*(offered | {one.full_name: one for one in named}).values()])


def seen_by() -> int | None:
    """Whose uploads are shown, beside public ones; None for all."""
    return None if me().is_admin else me().user_id


def take_in() -> UploadRow:
    """Read, store and record the upload in this request's form.

    Raises ApiProblem: 422 for what cannot be read, with the reason, 409 for a name that is taken,
    413 for a quota that is full. Nothing is kept then.
    """
    name = request.form.get("name", "").strip()
    if not NAME.fullmatch(name):
        raise _field(
            "name", "its name must be 1 to 63 small letters, digits and _, and begin with a letter."
        )
    public = request.form.get("public", "") in ("1", "on", "true")
    files = [file for file in request.files.getlist("file") if file.filename]
    if not 1 <= len(files) <= MOST_FILES:
        raise _field("file", "the file is missing: send one NPZ or CSV file, or two IDX files.")
    with tempfile.TemporaryDirectory(prefix="labpool-upload-") as folder:
        return _store(Path(folder), name, public, files)


def _store(folder: Path, name: str, public: bool, files: list[FileStorage]) -> UploadRow:
    out = folder / "examples.npz"
    found = _read(folder, out, files)
    upload = Upload(
        name=name,
        key=f"uploads/{uuid.uuid4().hex}.npz",
        sha256=found["sha256"],
        bytes=found["bytes"],
        kind=found["kind"],
        shape=found["shape"],
        counts=found["counts"],
        class_names=found["class_names"],
        test=found["test"],
        public=public,
    )
    parts = services()
    # The file first: a row must never be seen whose file is not there. Its key is its own, so that
    # deleting it takes nothing from anybody who brought the same.
    parts.store.put(upload.key, out)
    _store_picture(out.with_suffix(".png"), upload)
    try:
        return parts.database.run(partial(_record, upload=upload))
    except (NotPossible, QuotaFull) as error:
        _forget(upload.key)
        full = isinstance(error, QuotaFull)
        status, kind = (413, "quota-full") if full else (409, "not-possible")
        raise ApiProblem(status, kind, str(error)) from error


def _record(session: Session, upload: Upload) -> UploadRow:
    owner = session.get_one(User, me().user_id)
    row = add_upload(session, owner, _copy(upload), services().settings.upload_quota_bytes)
    session.expunge(row)
    return UploadRow(row, owner.name)


def _store_picture(picture: Path, upload: Upload) -> None:
    """What the reading process drew, as `labpool data preview` stores it for the catalog's sets."""
    about: dict[str, Any] = {"counts": upload.counts, "sha256": None}
    base, store = upload.key.removesuffix(".npz"), services().store
    if picture.exists():
        content = picture.read_bytes()
        about |= {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
        store.put(f"{base}.png", picture)
    record = picture.with_suffix(".json")
    record.write_text(json.dumps(about), encoding="utf-8")
    store.put(f"{base}.json", record)


def _forget(key: str) -> None:
    for suffix in (".npz", ".json", ".png"):
        services().store.delete(key.removesuffix(".npz") + suffix)


def _copy(upload: Upload) -> Upload:
    """A fresh row each time the transaction is tried."""
    columns = ("name", "key", "sha256", "bytes", "kind", "shape", "counts", "class_names", "test")
    return Upload(
        **{column: getattr(upload, column) for column in columns}, public=upload.public
    )  # fmt: skip


def _read(folder: Path, out: Path, files: list[FileStorage]) -> dict[str, Any]:
    limit = services().settings.max_upload_bytes
    paths = []
    for number, file in enumerate(files):
        # A folder each: what is refused is named as it was sent, and two may have one name.
        path = folder / str(number) / _plain(file.filename or "")
        path.parent.mkdir()
        file.save(path)
        paths.append(str(path))
    command = [
        *(sys.executable, "-m", "labpool.readers", "--out", str(out)),
        *("--picture", str(out.with_suffix(".png"))),
        *("--file-bytes", str(limit), "--array-bytes", str(_UNPACKED * limit)),
        *paths,
    ]
    environment = {
        "PATH": os.defpath, "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8",
        "PYTHONPATH": str(CHECKOUT), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    try:
        done = subprocess.run(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=READING_S, check=True,
        )  # fmt: skip
        answer: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError):
        answer = {"refused": "reading it took more time or memory than is allowed."}
    if "refused" in answer:
        raise _field("file", str(answer["refused"]).replace(f"{folder}/", ""))
    return answer


def remove(upload_id: int) -> None:
    """Delete an upload. Raises ApiProblem: 404, 403, and 409 while a trial needs it."""
    parts = services()

    def work(session: Session) -> str:
        row = _own(session, upload_id, "delete")
        delete_upload(session, row.upload, row.owner)
        return row.upload.key

    try:
        key = parts.database.run(work)
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    _forget(key)


def share(upload_id: int) -> UploadRow:
    """Make an upload public, for good. Raises ApiProblem: 404, 403."""

    def work(session: Session) -> UploadRow:
        row = _own(session, upload_id, "share")
        share_upload(session, row.upload)
        session.flush()
        session.expunge(row.upload)
        return row

    return services().database.run(work)


def _own(session: Session, upload_id: int, verb: str) -> UploadRow:
    row = upload_row(session, upload_id, seen_by())
    if row is None:
        raise ApiProblem(404, "not-found", "There is no such upload, or it is not for you.")
    if not may_change(me(), row.upload.owner_id):
        raise forbidden(f"Only the owner or an administrator may {verb} it.")
    return row


def _plain(name: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    return kept[-80:].lstrip(".") or "file"


def _field(name: str, message: str) -> ApiProblem:
    error = FieldError(detail=message, pointer=f"/{name}")
    return ApiProblem(
        422, "invalid-upload", f"The upload was refused: {message}", errors=[error]
    )  # fmt: skip
