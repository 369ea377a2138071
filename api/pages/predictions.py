"""Try a trained model: the form on a trial's page, and the page of one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from flask import Blueprint, Response, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.context import services
from api.pages.frame import page
from api.predicting import (
    ask_by_file,
    ask_by_numbers,
    data_shape,
    dataset_of,
    end_if_overdue,
    look,
    takes_pictures,
    wait,
)
from api.problems import ApiProblem, FieldError
from api.schemas.predictions import Prediction, prediction_of
from api.security.roles import allow
from api.sent import takes_upload
from api.visibility import open_trial
from db.reads.files import CheckpointRow
from db.reads.trials import TrialRow

pages = Blueprint("prediction_pages", __name__)

# Without a script the browser shows the page of the answer once this is over.
_WAIT_S = 8.0
_MOST_ROWS = 50
_MOST_CHARACTERS = 20_000
_TURNS = ("auto", "yes", "no")


@dataclass(frozen=True, slots=True)
class TryIt:
    """What the form on a trial's page needs. ``numbers`` is how many one example has, if known."""

    pictures: bool
    numbers: int | None
    epoch: int


def try_it(session: Session, trial: TrialRow, checkpoints: list[CheckpointRow]) -> TryIt | None:
    """The form, for a trial that can be asked; None for others."""
    best = next((row for row in checkpoints if row.best), None)
    if trial.kind != "train" or trial.data_name is None or best is None:
        return None
    entry = dataset_of(session, trial)
    shape = data_shape(entry, trial)
    count = None if shape is None else prod(shape)
    return TryIt(takes_pictures(entry), count, best.epoch)


@dataclass(frozen=True, slots=True)
class ClassBar:
    label: int
    probability: float
    is_best: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A small picture as the model saw it, for a script to draw: 0..255, row after row."""

    width: int
    height: int
    channels: int
    pixels: str


@pages.post("/trials/<row:trial_id>/predictions")
@takes_upload
@allow("member")
def ask_the_trial(trial_id: int) -> BaseResponse:
    upload, text = request.files.get("file"), request.form.get("numbers", "").strip()
    if upload is not None and upload.filename:
        turn_over = request.form.get("turn_over", "auto")
        if turn_over not in _TURNS:
            raise _bad("turn_over", f"One of {', '.join(_TURNS)} is wanted.")
        most = services().settings.max_prediction_bytes
        number = ask_by_file(trial_id, upload.stream.read(most + 1), turn_over)
    elif text:
        number = ask_by_numbers(trial_id, _numbers(text))
    else:
        raise _bad("file", "Choose a file, or write numbers.")
    wait(number, _WAIT_S)
    return redirect(f"/trials/{trial_id}/predictions/{number}", code=303)


@pages.get("/trials/<row:trial_id>/predictions/<row:prediction_id>")
@allow("member")
def show_prediction(trial_id: int, prediction_id: int) -> Response:
    end_if_overdue(trial_id, prediction_id)
    with services().database.snapshot() as session:
        trial = open_trial(session, trial_id)
        row, waiting, names = look(session, trial_id, prediction_id)
        shown = prediction_of(row, waiting, names)
    return page(
        "prediction.html",
        section="Experiments",
        title=f"Prediction {shown.id} by trial {trial_id}",
        trial=trial,
        prediction=shown,
        finished=shown.state in ("done", "failed"),
        # Nothing on the stream tells of predictions: the page asks by itself.
        topics=(),
        bars=bars_of(shown),
        seen=seen_of(shown.about),
        rows=shown.guesses[:_MOST_ROWS],
        left_out=max(0, len(shown.guesses) - _MOST_ROWS),
        raw=_raw(shown),
    )


def bars_of(shown: Prediction) -> list[ClassBar]:
    """Every class of a single example with its probability."""
    if len(shown.guesses) != 1:
        return []
    best = shown.guesses[0].label
    found = shown.arrays["probabilities"].values[0]
    return [ClassBar(label, value, label == best) for label, value in enumerate(found)]


def seen_of(about: Mapping[str, Any]) -> Seen | None:
    """The picture that a runner says it saw; None unless that is one, since nobody checked it."""
    found = about.get("seen")
    if not isinstance(found, dict):
        return None
    shape, pixels = found.get("shape"), found.get("pixels")
    if not isinstance(shape, list) or not isinstance(pixels, list) or len(shape) != 3:
        return None
    if not all(isinstance(number, int) and 0 <= number < 256 for number in [*shape, *pixels]):
        return None
    if shape[2] not in (1, 3) or prod(shape) != len(pixels) or not pixels:
        return None
    return Seen(shape[1], shape[0], shape[2], ",".join(map(str, pixels)))


def _raw(shown: Prediction) -> list[tuple[str, str, str]]:
    """Name, shape and first values of arrays that are no probabilities of classes.

    Boxes and masks are drawn here once there is a model that gives them.
    """
    return [
        (name, " x ".join(map(str, found.shape)), _first(found.values))
        for name, found in shown.arrays.items()
        if name != "probabilities"
    ]


def _first(values: list[Any]) -> str:
    while values and isinstance(values[0], list):
        values = values[0]
    more = ", …" if len(values) > 10 else ""
    return ", ".join(f"{value:.4g}" for value in values[:10]) + more


def _numbers(text: str) -> list[float] | list[list[float]]:
    """One example a line; numbers apart by commas, semicolons or spaces."""
    if len(text) > _MOST_CHARACTERS:
        raise _bad("numbers", "That are too many; send them as a file.")
    rows = []
    for place, line in enumerate(text.splitlines(), start=1):
        cells = line.replace(",", " ").replace(";", " ").split()
        if not cells:
            continue
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError as error:
            raise _bad("numbers", f"Line {place} holds something that is no number.") from error
    return rows[0] if len(rows) == 1 else rows


def _bad(parameter: str, detail: str) -> ApiProblem:
    error = FieldError(detail=detail, parameter=parameter)
    return ApiProblem(422, "unfit-input", "The form has a problem.", errors=[error])
