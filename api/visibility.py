"""What a viewer may see and change. One place, so that no route decides for itself."""

from __future__ import annotations

from sqlalchemy.orm import Session

from api.context import services
from api.problems import forbidden, not_found
from api.security.identity import Identity, me
from db.reads.experiments import ExperimentRow, experiment_row
from db.reads.trials import TrialRow, trial_row


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
    """The trial, or ApiProblem 404 when it is absent or not for this viewer."""
    row = trial_row(session, trial_id)
    if row is None or not may_see(me(), row.owner_id):
        raise not_found("trial")
    return row
