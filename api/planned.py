"""What a submission would make, as far as its sender may see and run what it refers to."""

from __future__ import annotations

from functools import partial

from api.context import services
from api.security.identity import me
from api.uploading import catalog_for
from api.visibility import is_closed, may_see
from db.models import User
from db.origins import pin
from db.own_sources import admit
from labpool.origins import begun_from
from labpool.own_source import own_source
from labpool.planning import Plan, plan


def planned_for_me(spec: object) -> Plan:
    """The plan of a spec, the trials that it begins with pinned. Raises SpecError."""
    parts, who = services(), me()
    made = plan(spec, catalog_for(spec), parts.settings.max_trials_per_sweep, who.is_admin)
    made = with_own_source(made)
    varies = "init_from" in made.spec.get("space", {})
    if not varies and not any(begun_from(trial.spec) for trial in made.trials):
        return made
    programs = {name for name, model in parts.catalog.models.items() if model.program is not None}
    with parts.database.snapshot() as session:
        return pin(
            session, made, lambda owner_id: may_see(who, owner_id), programs,
            partial(is_closed, session),
        )  # fmt: skip


def with_own_source(made: Plan) -> Plan:
    """The plan with the text of the source that it names, if the viewer may run it.

    Raises SpecError.
    """
    if not any(own_source(trial.spec) for trial in made.trials):
        return made
    parts, who = services(), me()
    with parts.database.snapshot() as session:
        user = session.get_one(User, who.user_id)
        is_on = parts.settings.own_kernels
        return admit(session, user, made, is_admin=who.is_admin, is_on=is_on)
