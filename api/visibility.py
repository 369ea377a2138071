"""What a viewer may see and change. One place, so that no route decides for itself.

A trial on somebody's private upload is seen as any other: state, settings, curves, metrics, boards.
What may hold the upload's rows, or answers by them, is withheld from those who may not see the
upload: files, pictures, checkpoints, predictions, logs, and beginning with its weights. A view that
hands out such things asks for `open_trial`; what a trial's row itself tells is cut down here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy.orm import Session

from api.context import services
from api.problems import ApiProblem, forbidden, not_found
from api.security.identity import Identity, me
from db.reads.events import EventRow
from db.reads.experiments import ExperimentRow, experiment_row
from db.reads.files import AttemptRow, attempts_of
from db.reads.private import Run, closed_to
from db.reads.trials import TrialRow, trial_row

WITHHELD: Final = (
    "It rests on an upload that its owner keeps private, so its files, pictures, checkpoints, log "
    "and predictions are for those who may see the upload: its owner and administrators. Its owner "
    "opens them with `labpool data share`."
)
# Of a result's summary what says nothing of single examples, whatever the model.
_SUMMARY_OF_ALL: Final = frozenset(
    {
        "best_weights_sha256",
        "frozen_sha256",
        "layers",
        "parameter_count",
        "resumed_at_epoch",
        "steps_per_epoch",
        "stopped_by_user",
        "stopped_early",
        "weights_sha256",
    }
)
# An exception's own text: TensorFlow's quotes labels, for one.
_QUOTES: Final = "internal"
_UNQUOTED: Final = "An error, whose text may quote the private upload that it rests on."


def narrowed_owner_id(who: Identity) -> int | None:
    """The only owner whose objects `who` may see, or None for all."""
    if services().settings.private_results and not who.is_admin:
        return who.user_id
    return None


def may_see(who: Identity, owner_id: int) -> bool:
    return narrowed_owner_id(who) in (None, owner_id)


def may_change(who: Identity, owner_id: int) -> bool:
    return who.is_admin or who.owns(owner_id)


def require_change(who: Identity, owner_id: int, what: str) -> None:
    if not may_change(who, owner_id):
        raise forbidden(f"Only the owner or an administrator may change this {what}.")


def visible_experiment(session: Session, experiment_id: int) -> ExperimentRow:
    """The experiment, or ApiProblem 404 when it is absent or not for this viewer."""
    row = experiment_row(session, experiment_id)
    if row is None or not may_see(me(), row.owner_id):
        raise not_found("experiment")
    return row


def visible_trial(session: Session, trial_id: int) -> TrialRow:
    """The trial as this viewer may see it, or ApiProblem 404 when it is absent or not for them."""
    row = trial_row(session, trial_id)
    if row is None or not may_see(me(), row.owner_id):
        raise not_found("trial")
    return shown_trials(session, [row])[0]


def open_trial(session: Session, trial_id: int) -> TrialRow:
    """The trial, for a view that hands out what it made.

    Raises ApiProblem 404 as `visible_trial` does, 403 when that is withheld from this viewer.
    """
    row = visible_trial(session, trial_id)
    if row.withheld is not None:
        raise ApiProblem(
            403,
            "private-data",
            f"What trial {trial_id} made is not shared with you. {row.withheld}",
        )
    return row


def is_closed(session: Session, run: Run) -> bool:
    """Whether what a trial made is withheld from this viewer."""
    return not me().is_admin and bool(closed_to(session, [run], me().user_id))


def shown_trials(session: Session, rows: Iterable[TrialRow]) -> list[TrialRow]:
    """Trials that the viewer may see, each without what is withheld."""
    found = list(rows)
    if me().is_admin:
        return found
    closed = closed_to(session, found, me().user_id)
    return [_cut_down(row) if row.id in closed else row for row in found]


def shown_by_id(session: Session, rows: Mapping[int, TrialRow]) -> dict[int, TrialRow]:
    """The same, by their ids."""
    return {row.id: row for row in shown_trials(session, rows.values())}


def shown_attempts(session: Session, trial: TrialRow) -> list[AttemptRow]:
    """A visible trial's attempts, newest first; without their logs where these are withheld."""
    rows = attempts_of(session, trial.id)
    if trial.withheld is None:
        return rows
    return [
        replace(
            row, log_key=None, log_tail=None, log_bytes=None,
            reason=_unquoted(row.reason_kind, row.reason),
        )
        for row in rows
    ]  # fmt: skip


def shown_events(trial: TrialRow, rows: Iterable[EventRow]) -> list[EventRow]:
    """A visible trial's events."""
    if trial.withheld is None:
        return list(rows)
    return [replace(row, data=_without_quotes(row.data)) for row in rows]


def _cut_down(row: TrialRow) -> TrialRow:
    summary = {name: value for name, value in row.summary.items() if name in _SUMMARY_OF_ALL}
    reason = _unquoted(row.reason_kind, row.reason)
    return replace(row, summary=summary, reason=reason, withheld=WITHHELD)


def _without_quotes(data: Mapping[str, Any]) -> Mapping[str, Any]:
    if "reason" not in data:
        return data
    return {**data, "reason": _unquoted(data.get("reason_kind"), data["reason"])}


def _unquoted(kind: str | None, reason: str | None) -> str | None:
    return _UNQUOTED if kind == _QUOTES and reason else reason
