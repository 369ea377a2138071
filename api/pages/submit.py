"""The submit page: a form made from the catalog, and the spec beside it.

The spec is what counts. The fields write it and are filled from it, in the browser; without
JavaScript the text is edited and sent, and whatever is wrong comes back beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.bodies import MOST_YAML_BYTES, digest_of, excess_of
from api.context import services
from api.forms.build import KINDS, SpecForm, build
from api.forms.changes import start, with_base_kind, with_entry, with_kind
from api.forms.fields import field_id
from api.forms.sweep import Axis
from api.forms.text import KEY_ORDER, spec_text
from api.pages.frame import page
from api.planned import planned_for_me
from api.problems import from_spec_error, not_found
from api.security.identity import me
from api.security.roles import allow
from api.uploading import catalog_to_choose_from
from api.visibility import narrowed_owner_id, visible_experiment, visible_trial
from db.duplicates import Duplicate, duplicates_of
from db.errors import IdempotencyConflict, QueueFull
from db.models import User
from db.submissions import submit
from labpool.devices import unfold
from labpool.errors import Problem, SpecError
from labpool.planning import Plan
from labpool.reading import read_spec

pages = Blueprint("submit_pages", __name__)

_SOURCE = re.compile(r"(experiment|trial):([1-9][0-9]{0,17})")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
# Resolved specs say these even where nobody did.
_SAYS_NOTHING: tuple[Any, ...] = (None, "", [], {})
_SHOWN_TRIALS = 10


@dataclass(frozen=True, slots=True)
class Reading:
    """A text, what it says, and what is wrong with it."""

    text: str
    data: Mapping[str, Any] | None = None
    plan: Plan | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """What the form was filled from."""

    title: str
    url: str


pages.app_template_filter("field_id")(field_id)
pages.app_template_filter("spec_text")(spec_text)


@pages.app_template_filter()
def sentence(text: str) -> str:
    """`text` with a capital at its beginning."""
    return text[:1].upper() + text[1:]


@pages.get("/submit")
@allow("member")
def show_submit() -> Response:
    """An empty form, one begun with an entry of the catalog, or a clone: `?from=trial:12`."""
    wanted = request.args.get("from")
    if wanted is not None:
        spec, source = _cloned(wanted)
        return _form(_read(spec_text(spec)), source=source)
    kind = request.args.get("kind", "train")
    name = request.args.get("model", "")
    if kind not in KINDS or (name and not _NAME.fullmatch(name)):
        raise not_found("kind of spec or entry of the catalog")
    return _form(_read(spec_text(start(services().catalog, kind, name))))


@pages.post("/submit")
@allow("member")
def submit_the_spec() -> BaseResponse:
    reading = _read(_typed())
    if request.form.get("action") == "check":
        return _form(reading, checked=True)
    if reading.plan is None:
        return _form(reading, status=422)
    digest = digest_of(reading.data)
    planned, key = reading.plan, _submission_key(digest)
    limit = services().settings.max_queued_per_user

    def work(session: Session) -> int:
        owner = session.get_one(User, me().user_id)
        return submit(session, owner, planned, key, digest, limit).experiment_id

    try:
        experiment_id = services().database.run(work)
    except QueueFull as error:
        return _form(_refused(reading, error), status=429)
    except IdempotencyConflict as error:
        return _form(_refused(reading, error), status=409)
    services().bell.ring()
    return redirect(f"/experiments/{experiment_id}", code=303)


@pages.post("/submit/form")
@allow("member")
def show_fields() -> Response:
    """The fields for a spec, for the page's script; first changed as the form may ask."""
    try:
        data = _parsed(_typed())
    except SpecError as error:
        raise from_spec_error(error) from error
    known = data if isinstance(data, dict) else {}
    # The fields of a run have room for one device; those of a sweep for several.
    data = _changed(unfold(known) or known)
    form = build(data, catalog_to_choose_from(data))
    html = render_template("submit_fields.html", **_form_values(form))
    body = json.dumps({"spec": spec_text(data), "fields": html})
    response = Response(body, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _changed(data: dict[str, Any]) -> dict[str, Any]:
    catalog = catalog_to_choose_from(data)
    kind = request.form.get("kind", "")
    if kind in KINDS:
        data = with_kind(data, kind, catalog)
    runs = request.form.get("base_kind", "")
    if runs in ("train", "benchmark") and data.get("kind") == "sweep":
        data = with_base_kind(data, runs, catalog)
    for key in ("model", "kernel", "dataset"):
        if key in request.form:
            data = with_entry(data, key, request.form[key][:200], catalog)
    return data


def _cloned(wanted: str) -> tuple[dict[str, Any], Source]:
    """A stored spec, as far as the viewer may see it."""
    match = _SOURCE.fullmatch(wanted)
    if match is None:
        raise not_found("experiment or trial to begin with")
    kind, row_id = match[1], int(match[2])
    with services().database.snapshot() as session:
        if kind == "experiment":
            experiment = visible_experiment(session, row_id)
            source = Source(f"experiment {row_id}", f"/experiments/{row_id}")
            return dict(experiment.spec), source
        trial = visible_trial(session, row_id)
    spec = {name: value for name, value in trial.spec.items() if value not in _SAYS_NOTHING}
    return spec, Source(f"trial {row_id}", f"/trials/{row_id}")


def _typed() -> str:
    return request.form.get("spec", "").replace("\r\n", "\n")


def _read(text: str) -> Reading:
    try:
        data = _parsed(text)
    except SpecError as error:
        return Reading(text, problems=error.problems)
    known = data if isinstance(data, dict) else None
    try:
        planned = planned_for_me(data)
    except SpecError as error:
        return Reading(text, known, problems=error.problems)
    return Reading(text, known, planned)


def _parsed(text: str) -> Any:
    """The data in `text`, within the bounds that the API has for a spec. Raises SpecError."""
    if len(text.encode("utf-8", "surrogatepass")) > MOST_YAML_BYTES:
        message = f"is longer than the {MOST_YAML_BYTES // 1024} KiB that a form may have."
        raise SpecError([Problem("", message, "Send it as JSON with: labpool submit FILE")])
    data = read_spec(text, "yaml")
    excess = excess_of(data)
    if excess is not None:
        raise SpecError([excess])
    return data


def _refused(reading: Reading, error: Exception) -> Reading:
    return Reading(reading.text, reading.data, problems=(Problem("", str(error)),))


def _submission_key(digest: str) -> str:
    """One for each page and spec: a double click makes one experiment, an edited spec another."""
    given = request.form.get("key", "") or secrets.token_urlsafe(24)
    return "page-" + hashlib.sha256(f"{given} {digest}".encode()).hexdigest()


def _form(
    reading: Reading, *, status: int = 200, checked: bool = False, source: Source | None = None
) -> Response:
    catalog = catalog_to_choose_from(reading.data)
    form = build(reading.data, catalog) if reading.data is not None else None
    response = page(
        "submit.html",
        section="Submit",
        title="Submit",
        text=reading.text,
        key=secrets.token_urlsafe(24),
        source=source,
        problems=reading.problems,
        # Only what somebody sent is worth an alarm.
        alarm=status != 200 or (checked and bool(reading.problems)),
        plan=reading.plan,
        duplicates=_duplicates(reading),
        shown_trials=_SHOWN_TRIALS,
        models=catalog.models,
        kernels=catalog.kernels,
        key_order=" ".join(KEY_ORDER),
        **_form_values(form, reading.problems),
    )
    response.status_code = status
    return response


def _duplicates(reading: Reading) -> list[Duplicate]:
    if reading.plan is None:
        return []
    with services().database.snapshot() as session:
        return duplicates_of(session, reading.plan, narrowed_owner_id(me()))


def _form_values(form: SpecForm | None, problems: tuple[Problem, ...] = ()) -> dict[str, Any]:
    placed = form.placed(problems) if form else {"": list(problems)}
    return {"form": form, "kinds": KINDS, "placed": placed, "empty_axis": Axis("", "values")}
