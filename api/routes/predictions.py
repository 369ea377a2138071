"""Ask a trained model."""

from __future__ import annotations

from flask import Response, request

from api.bodies import read_body
from api.context import services
from api.openapi import ApiBlueprint
from api.predicting import ask_by_file, ask_by_numbers, end_if_overdue, look, read_numbers, wait
from api.responses import answer
from api.schemas import predictions as schemas
from api.schemas.base import TrialPath
from api.security.roles import allow
from api.sent import takes_upload
from db.reads.predictions import is_open

routes = ApiBlueprint("predictions", __name__, "Ask a trained model")

_FILE = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "additionalProperties": False,
                "properties": {
                    "inputs": {
                        "type": "array",
                        "description": "One example or several, nested as the data set's or flat.",
                    }
                },
            }
        },
        "image/png": _FILE,
        "image/jpeg": _FILE,
        "text/csv": _FILE,
        "application/octet-stream": _FILE,
    },
}


@routes.post(
    "/trials/<row:trial_id>/predictions",
    responses={200: schemas.Prediction, 202: schemas.Prediction},
    openapi_extensions={"requestBody": _BODY},
)
@takes_upload
@allow("member")
def ask_a_trial(path: TrialPath, query: schemas.AskQuery) -> Response:
    """Ask a trained model

    The body is `{"inputs": …}` as JSON, a PNG or JPEG picture, or an NPZ, NPY, IDX or CSV file of
    many examples. A worker answers from the trial's best checkpoint: 202 tells where the answer
    will be, and with `wait` it is 200 with the answer when that comes in time.
    """
    data = read_body()
    if request.mimetype == "application/json":
        number = ask_by_numbers(path.trial_id, read_numbers(data))
    else:
        number = ask_by_file(path.trial_id, data, query.turn_over)
    wait(number, query.wait)
    return _shown(path.trial_id, number, asked=True)


@routes.get(
    "/trials/<row:trial_id>/predictions/<row:prediction_id>", responses={200: schemas.Prediction}
)
@allow("member", session=True)
def show_prediction(path: schemas.PredictionPath) -> Response:
    """Show a prediction

    For whoever asked, and for administrators. It is deleted after a while.
    """
    end_if_overdue(path.trial_id, path.prediction_id)
    return _shown(path.trial_id, path.prediction_id)


def _shown(trial_id: int, number: int, asked: bool = False) -> Response:
    with services().database.snapshot() as session:
        row, waiting, names = look(session, trial_id, number)
        open_still = is_open(row)
        shown = schemas.prediction_of(row, waiting, names)
    response = answer(shown, 202 if asked and open_still else 200)
    if asked:
        response.headers["Location"] = shown.url
    if open_still:
        response.headers["Retry-After"] = "1"
    return response
