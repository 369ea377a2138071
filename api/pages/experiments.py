"""One experiment with its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.context import services
from api.pages.frame import page
from api.paging import decode_cursor, encode_cursor
from api.security.identity import me
from api.security.roles import allow
from api.visibility import may_change, require_change, visible_experiment
from db.commands import cancel_experiment
from db.models import Experiment, Trial, User
from db.reads.curves import latest_values
from db.reads.trials import TrialFilter, TrialRow, trials_of_experiment
from db.states import TrialState
from db.waiting import Waiting

pages = Blueprint("experiment_pages", __name__)

_TRIALS_PER_PAGE = 100
# The first of these that a trial has are shown; the others stand on the trial's own page.
_SHOWN_METRICS = (
    "test_accuracy", "val_accuracy", "loss", "median_ms", "gflop_s", "gb_s",
)  # fmt: skip


@pages.get("/experiments/<row:experiment_id>")
@allow("member")
def show_experiment(experiment_id: int) -> Response:
    cursor = decode_cursor(request.args.get("cursor"), (int,))
    after = int(cursor[0] or 0) if cursor else None
    with services().database.snapshot() as session:
        experiment = visible_experiment(session, experiment_id)
        wanted = TrialFilter(experiment_id=experiment_id)
        rows = trials_of_experiment(session, wanted, after, _TRIALS_PER_PAGE + 1)
        shown = rows[:_TRIALS_PER_PAGE]
        waiting = _reasons(session, shown)
        values = {row.id: _values(session, row) for row in shown}
    more = len(rows) > len(shown)
    return page(
        "experiment.html",
        section="Experiments",
        title=f"Experiment {experiment.id}",
        experiment=experiment,
        rows=shown,
        values=values,
        varied=_in_order(row.varied for row in shown),
        metrics=_metric_columns(values.values()),
        waiting=waiting,
        may_change=may_change(me(), experiment.owner_id),
        finished=experiment.finished,
        next_url=_with_cursor(encode_cursor([shown[-1].number])) if more else None,
        first_url=_with_cursor(None) if cursor else None,
    )


@pages.post("/experiments/<row:experiment_id>/cancel")
@allow("member")
def cancel_the_experiment(experiment_id: int) -> BaseResponse:
    def work(session: Session) -> None:
        row = visible_experiment(session, experiment_id)
        require_change(me(), row.owner_id, "experiment")
        experiment = session.get_one(Experiment, row.id)
        cancel_experiment(session, experiment, session.get_one(User, me().user_id))

    services().database.run(work)
    services().bell.ring()
    return redirect(f"/experiments/{experiment_id}", code=303)


def _with_cursor(cursor: str | None) -> str:
    pairs = [
        (name, value)
        for name, value in request.args.items(multi=True)
        if name not in ("cursor", "fragment") and value
    ]
    if cursor is not None:
        pairs.append(("cursor", cursor))
    return f"{request.path}?{urlencode(pairs)}" if pairs else request.path


def _reasons(session: Session, rows: Sequence[TrialRow]) -> dict[int, str]:
    queued = [row.id for row in rows if row.state in (TrialState.QUEUED, TrialState.PAUSED)]
    if not queued:
        return {}
    pool = Waiting(session)
    found = ((row_id, pool.why(session.get_one(Trial, row_id))) for row_id in queued)
    return {row_id: why for row_id, why in found if why}


def _values(session: Session, row: TrialRow) -> Mapping[str, Any]:
    """The result's metrics, or what a running trial has reached."""
    if row.metrics or row.state == TrialState.QUEUED or row.fence == 0:
        return row.metrics
    return latest_values(session, row.id, row.fence)


def _in_order(mappings: Any) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _metric_columns(values: Any) -> list[str]:
    found = set(_in_order(values))
    return [name for name in _SHOWN_METRICS if name in found]
