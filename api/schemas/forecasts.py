"""What a submission would cost and whom it would delay, as the API shows it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from api.schemas.base import JsonObject, Model
from api.schemas.turns import OTHERS
from db.forecast import Forecast as Found
from db.forecast_groups import Grouping


class Delayed(Model):
    owner: str = Field(description="`others` where results are private and it is not you.")
    trials: int = Field(description="How many of their waiting trials start later.")
    seconds: float = Field(description="The longest delay among them.")


class Grouped(Model):
    """What is to be trained together, as far as it can be told."""

    groups: dict[str, int] = Field(description="How many groups there are, by their size.")
    saved_slot_seconds: float | None = Field(
        description="Less than one by one; null where no such group has ended yet."
    )
    sentence: str


class Forecast(Model):
    """A guess of what a submission would come to; nothing is stored."""

    trial_count: int
    slot_seconds: float | None = Field(description="Of all trials together; null when unknown.")
    finish_s: float | None = Field(description="Seconds until the last one ends.")
    delays: list[Delayed] = Field(description="Whom it delays, the longest delay first.")
    able_slots: int = Field(description="Slots that could run it.")
    devices: list[str] = Field(description="What these are: cpu, gpu.")
    lacking: str | None = Field(description="What the pool does not have for it.")
    arithmetic: str = Field(description="How the figures come, or why there are none.")
    least_slot_seconds: float | None = Field(
        description="Where trials are pruned: what they come to at least."
    )
    most_slot_seconds: float | None = Field(description="The same at most.")
    together: Grouped | None = Field(description="null where nothing is trained together.")


def forecast_of(found: Found, names: Mapping[int, str], only_owner_id: int | None) -> Forecast:
    """As one viewer may see it; `only_owner_id` hides whose the other trials are."""
    delays: dict[str, JsonObject] = {}
    for delay in found.delays:
        hidden = only_owner_id is not None and delay.owner_id != only_owner_id
        owner = OTHERS if hidden else names.get(delay.owner_id, OTHERS)
        row = delays.setdefault(owner, {"owner": owner, "trials": 0, "seconds": 0.0})
        row["trials"] += delay.trials
        row["seconds"] = max(row["seconds"], delay.seconds)
    least, most = found.least_and_most_s or (None, None)
    fields: JsonObject = {
        "trial_count": found.trials,
        "slot_seconds": found.slot_seconds,
        "finish_s": found.finish_s,
        "delays": list(delays.values()),
        "able_slots": found.able_slots,
        "devices": list(found.devices),
        "lacking": found.lacking,
        "arithmetic": found.arithmetic,
        "least_slot_seconds": least,
        "most_slot_seconds": most,
        "together": _grouped(found.grouping),
    }
    return Forecast.model_validate(fields)


def _grouped(found: Grouping | None) -> JsonObject | None:
    if found is None:
        return None
    return {
        "groups": {str(size): count for size, count in found.groups.items()},
        "saved_slot_seconds": found.saved_s,
        "sentence": found.sentence,
    }
