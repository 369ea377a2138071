"""What a submission would make, as far as its sender may see what it refers to."""

from __future__ import annotations

from api.context import services
from api.security.identity import me
from api.uploading import catalog_for
from api.visibility import may_see
from db.origins import pin
from labpool.origins import begun_from
from labpool.planning import Plan, plan


def planned_for_me(spec: object) -> Plan:
    """The plan of a spec, the trials that it begins with pinned. Raises SpecError."""
    parts, who = services(), me()
    made = plan(spec, catalog_for(spec), parts.settings.max_trials_per_sweep, who.is_admin)
    if not any(begun_from(trial.spec) for trial in made.trials):
        return made
    programs = {name for name, model in parts.catalog.models.items() if model.program is not None}
    with parts.database.snapshot() as session:
        return pin(session, made, lambda owner_id: may_see(who, owner_id), programs)
