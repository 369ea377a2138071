"""Questions to trained models as the API and the pages ask them: read, checked, stored, awaited."""

from __future__ import annotations

import json
import math
import threading
import time
from typing import Any, Final

from sqlalchemy.orm import Session

from api.context import services
from api.problems import ApiProblem, FieldError, not_found
from api.security.identity import me
from api.visibility import open_trial
from db import predictions, questions
from db.errors import NotPossible, TooManyQuestions
from db.models import Prediction, Trial
from db.reads import predictions as reads
from db.reads.trials import TrialRow
from db.states import OPEN_PREDICTIONS
from db.uploads import facts_by_key
from labpool.catalog import DatasetEntry
from labpool.layer_fit import example_shape
from labpool.sent import PICTURES, Form, NotTaken, check_picture, count_of, form_of
from labpool.uploads import entry_of, key_of

LONGEST_WAIT_S: Final = 25.0
_FIRST_LOOK_S = 0.01
_LONGEST_PAUSE_S = 0.25
# Each holds one of the server's threads; who finds none free gets the answer's place at once.
_MOST_WAITING = 8
_waiting = threading.BoundedSemaphore(_MOST_WAITING)
_LARGEST = 3.4e38
_DEEPEST = 4


def ask_by_file(trial_id: int, data: bytes, turn_over: str) -> int:
    """Ask with an uploaded picture or file; the prediction's number.

    Raises ApiProblem: 413 too large, 415 of no form that is taken, 422 not fit for the model.
    """
    most = services().settings.max_prediction_bytes
    if len(data) > most:
        raise ApiProblem(
            413,
            "body-too-large",
            f"It has {len(data):,} bytes; a picture or file to predict from may have {most:,} "
            "(LABPOOL_MAX_PREDICTION_BYTES).",
        )
    try:
        form = form_of(data)
    except NotTaken as error:
        says = {"Accept-Post": "application/json, image/png, image/jpeg, text/csv"}
        raise ApiProblem(415, "unsupported-media-type", str(error), headers=says) from error
    try:
        if form in PICTURES:
            check_picture(data, form)
    except NotTaken as error:
        raise _unfit("file", error.detail) from error
    return _ask(trial_id, form, data, {"turn_over": turn_over})


def ask_by_numbers(trial_id: int, inputs: object) -> int:
    """Ask with numbers: one example or several. Raises ApiProblem 422, naming the place."""
    found = _shape_of(inputs, "/inputs")
    return _ask(trial_id, "numbers", json.dumps(inputs).encode(), {}, found)


def read_numbers(data: bytes) -> object:
    """`inputs` of a JSON body `{"inputs": ...}`. Raises ApiProblem 400 or 422."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        says = "is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise ApiProblem(400, "unreadable-body", f"The body is no JSON: {says}.") from error
    if not isinstance(body, dict) or set(body) != {"inputs"}:
        raise _unfit("/inputs", 'Send {"inputs": [...]} with one example or a list of them.')
    return body["inputs"]


def _ask(
    trial_id: int,
    form: Form,
    data: bytes,
    options: dict[str, Any],
    found: tuple[int, ...] | None = None,
) -> int:
    settings = services().settings
    limits = questions.Limits(
        settings.prediction_limit_s,
        settings.max_open_predictions,
        settings.max_predictions_per_minute,
    )

    def work(session: Session) -> int:
        row = open_trial(session, trial_id)
        _refuse_other_shape(session, row, form, found)
        trial = session.get_one(Trial, row.id)
        return questions.ask(session, trial, me().user_id, form, data, options, limits).id

    try:
        number = services().database.run(work)
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    except TooManyQuestions as error:
        again = {"Retry-After": "10"}
        raise ApiProblem(429, "too-many-predictions", str(error), headers=again) from error
    services().bell.ring()
    return number


def dataset_of(session: Session, trial: TrialRow) -> DatasetEntry | None:
    """The trial's data set as the catalog has it, or as it was uploaded; None where it is gone."""
    key = key_of(trial.data_name, trial.spec)
    if key is None:
        return services().catalog.datasets.get(trial.data_name or "")
    facts = facts_by_key(session, key)
    return None if facts is None else entry_of(facts)


def data_shape(entry: DatasetEntry | None, trial: TrialRow) -> tuple[int, ...] | None:
    """What one example of the trial's data set is like, where its entry tells it for sure."""
    if entry is None or entry.digest != trial.data_digest:
        return None
    chosen = trial.spec.get("dataset_parameters", {})
    # How long rows are may hang on any parameter; sides of pictures have names that are agreed on.
    changed = any(
        chosen.get(name, one.default) != one.default for name, one in entry.parameters.items()
    )
    return None if changed and entry.kind == "vector" else example_shape(entry, chosen)


def class_names_of(entry: DatasetEntry | None, trial: TrialRow) -> list[str]:
    """What the trial's classes are called; empty where its data set does not say so for sure."""
    if entry is None or entry.digest != trial.data_digest:
        return []
    chosen = trial.spec.get("dataset_parameters", {})
    changed = any(
        chosen.get(name, one.default) != one.default for name, one in entry.parameters.items()
    )
    return [] if changed else list(entry.class_names)


def takes_pictures(entry: DatasetEntry | None) -> bool:
    """Whether the data set holds pictures, as far as it is known."""
    return entry is not None and entry.kind == "image"


def _refuse_other_shape(
    session: Session, trial: TrialRow, form: Form, found: tuple[int, ...] | None
) -> None:
    entry = dataset_of(session, trial)
    shape = data_shape(entry, trial)
    if shape is None:
        return
    if form in PICTURES and not takes_pictures(entry):
        says = f"The model was trained on rows of {math.prod(shape)} numbers, not on pictures."
        raise _unfit("file", says)
    if found is not None:
        try:
            count_of(found, shape)
        except NotTaken as error:
            raise _unfit("/inputs", error.detail) from error


def _shape_of(value: object, place: str, depth: int = 0) -> tuple[int, ...]:
    """The shape of nested lists of finite numbers. Raises ApiProblem 422."""
    if isinstance(value, list):
        if depth >= _DEEPEST:
            raise _unfit(place, f"Lists are nested deeper than {_DEEPEST}.")
        if not value:
            raise _unfit(place, "An empty list holds no example.")
        first = _shape_of(value[0], f"{place}/0", depth + 1)
        for index, item in enumerate(value):
            if _shape_of(item, f"{place}/{index}", depth + 1) != first:
                raise _unfit(f"{place}/{index}", "It is not as long as those before it.")
        return (len(value), *first)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unfit(place, "A number is wanted here.")
    # NaN compares false with everything.
    if not abs(value) <= _LARGEST:
        raise _unfit(place, "The number is not finite, or too large.")
    return ()


def _unfit(place: str, detail: str) -> ApiProblem:
    error = FieldError(
        detail=detail,
        pointer=place if place.startswith("/") else None,
        parameter=None if place.startswith("/") else place,
    )
    return ApiProblem(422, "unfit-input", f"The input is not fit: {detail}", errors=[error])


def look(session: Session, trial_id: int, number: int) -> tuple[Prediction, str | None, list[str]]:
    """A prediction, what it waits for, and its classes' names; ApiProblem 404 for another's.

    Who may see the trial may ask it, but not one whose data they may not see; what was asked is
    the asker's and the administrators'.
    """
    trial = open_trial(session, trial_id)
    found = reads.find(session, trial_id, number)
    if found is None or not (me().is_admin or me().owns(found.asked_by_id)):
        raise not_found("prediction")
    waits_for = reads.waits_for(session, found) if reads.is_open(found) else None
    return found, waits_for, class_names_of(dataset_of(session, trial), trial)


def end_if_overdue(trial_id: int, number: int) -> None:
    """With no worker at hand, whoever looks ends what is past its time."""
    with services().database.snapshot() as session:
        found = reads.find(session, trial_id, number)
        overdue = found is not None and reads.is_overdue(session, found)
    if overdue:
        services().database.run(predictions.end_overdue)


def wait(number: int, wait_s: float) -> None:
    """Wait for an answer, at most `wait_s`; at once when too many wait already."""
    if wait_s <= 0 or not _waiting.acquire(blocking=False):
        return
    try:
        deadline, pause_s = time.monotonic() + min(wait_s, LONGEST_WAIT_S), _FIRST_LOOK_S
        while _is_open(number) and (left_s := deadline - time.monotonic()) > 0:
            time.sleep(min(pause_s, left_s))
            pause_s = min(1.2 * pause_s, _LONGEST_PAUSE_S)
    finally:
        _waiting.release()


def _is_open(number: int) -> bool:
    with services().database.snapshot() as session:
        state = reads.state_of(session, number)
    return state in OPEN_PREDICTIONS
