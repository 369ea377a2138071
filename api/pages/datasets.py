"""The data sets: the catalog's and those that people brought, and one in full."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, redirect
from werkzeug.wrappers import Response as BaseResponse

from api.context import services
from api.files import attachment
from api.pages.frame import page
from api.pages.pictures import POLICY
from api.problems import ApiProblem, not_found
from api.security.identity import me
from api.security.roles import allow
from api.uploading import remove, seen_by, share, take_in, takes_uploads
from api.visibility import may_change
from db.uploads import UploadRow, uploads_for, used_bytes
from labpool.catalog import DatasetEntry
from labpool.uploads import extended

pages = Blueprint("dataset_pages", __name__)
takes_uploads("dataset_pages.upload_form")

_MOST_RECORD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Preview:
    """What was drawn of a set: examples by class, and its picture's checksum and size."""

    counts: list[int] = field(default_factory=list)
    sha256: str | None = None
    bytes: int = 0


@pages.get("/datasets")
@allow("member")
def show_datasets() -> Response:
    return _list_page()


@pages.post("/datasets")
@allow("member")
def upload_form() -> BaseResponse:
    try:
        row = take_in()
    except ApiProblem as problem:
        response = _list_page(problem=problem.detail or "")
        response.status_code = problem.status
        return response
    return redirect(f"/datasets/{row.facts.full_name}", code=303)


@pages.post("/datasets/uploads/<row:upload_id>/delete")
@allow("member")
def delete_form(upload_id: int) -> BaseResponse:
    remove(upload_id)
    return redirect("/datasets", code=303)


@pages.post("/datasets/uploads/<row:upload_id>/share")
@allow("member")
def share_form(upload_id: int) -> BaseResponse:
    row = share(upload_id)
    return redirect(f"/datasets/{row.facts.full_name}", code=303)


@pages.get("/datasets/<name>")
@allow("member")
def show_dataset(name: str) -> Response:
    entry = services().catalog.datasets.get(name)
    if entry is None:
        raise not_found("data set")
    preview = _preview_of(entry)
    held = "" if entry.files is None else f"labpool data fetch {name}"
    command = "" if preview.counts else f"labpool data preview {name}"
    return _one_page(entry, preview, f"/datasets/{name}/picture", command, held=held)


@pages.get("/datasets/<owner>/<name>")
@allow("member")
def show_upload_page(owner: str, name: str) -> Response:
    row = _upload(owner, name)
    entry = extended(services().catalog, [row.facts]).datasets[row.facts.full_name]
    entry = entry.model_copy(update={"class_names": row.upload.class_names, "parameters": {}})
    preview = _stored(row.upload.key.removesuffix(".npz"))
    address = f"/datasets/{owner}/{name}/picture"
    mine = row if may_change(me(), row.upload.owner_id) else None
    counts = Preview(list(row.upload.counts), preview.sha256, preview.bytes)
    return _one_page(entry, counts, address, "", upload=mine)


@pages.get("/datasets/<name>/picture")
@allow("member")
def show_picture(name: str) -> Response:
    entry = services().catalog.datasets.get(name)
    if entry is None:
        raise not_found("data set")
    return _picture(f"previews/{entry.digest}", _preview_of(entry))


@pages.get("/datasets/<owner>/<name>/picture")
@allow("member")
def show_upload_picture(owner: str, name: str) -> Response:
    base = _upload(owner, name).upload.key.removesuffix(".npz")
    return _picture(base, _stored(base))


def _list_page(problem: str = "") -> Response:
    parts = services()
    with parts.database.snapshot() as session:
        uploads = uploads_for(session, seen_by())
        used = used_bytes(session, me().user_id)
    return page(
        "datasets.html",
        section="Data",
        title="Data sets",
        finished=True,
        entries=list(parts.catalog.datasets.values()),
        uploads=uploads,
        changeable={row.upload.id for row in uploads if may_change(me(), row.upload.owner_id)},
        used=used,
        settings=parts.settings,
        problem=problem,
    )


def _one_page(
    entry: DatasetEntry, preview: Preview, picture: str, command: str,
    held: str = "", upload: UploadRow | None = None,
) -> Response:  # fmt: skip
    names = list(entry.class_names) or [str(number) for number in range(len(preview.counts))]
    most = max(preview.counts, default=1)
    return page(
        "dataset.html",
        section="Data",
        title=entry.title,
        finished=True,
        entry=entry,
        picture=picture if preview.sha256 else "",
        bars=list(zip(names, preview.counts, strict=False)),
        most=most,
        command=command,
        held=held,
        upload=upload,
    )


def _upload(owner: str, name: str) -> UploadRow:
    with services().database.snapshot() as session:
        for row in uploads_for(session, seen_by()):
            if (row.owner, row.upload.name) == (owner, name):
                session.expunge(row.upload)
                return row
    raise not_found("data set")


def _preview_of(entry: DatasetEntry) -> Preview:
    return _stored(f"previews/{entry.digest}")


def _stored(base: str) -> Preview:
    """What was drawn, as the store has it; nothing where it has nothing."""
    try:
        with services().store.get(f"{base}.json") as file:
            found: dict[str, Any] = json.loads(file.read(_MOST_RECORD_BYTES))
        return Preview(list(found["counts"]), found["sha256"], found.get("bytes", 0))
    except (OSError, ValueError, KeyError, TypeError):
        return Preview()


def _picture(base: str, preview: Preview) -> Response:
    if preview.sha256 is None:
        raise not_found("picture")
    response = attachment(
        f"{base}.png", name="picture.png", media_type="image/png",
        sha256=preview.sha256, size_bytes=preview.bytes,
    )  # fmt: skip
    # An upload's address may hold another picture tomorrow.
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Content-Disposition"] = "inline"
    response.headers["Content-Security-Policy"] = POLICY
    return response
