"""Why a trial waits, and its place among the others, as the API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from api.schemas.base import Body, JsonObject, Model
from db.company import Company
from db.fairness import Standing
from db.priorities import priority_word
from db.states import TrialState
from db.why import Reason, Why

OTHERS = "others"


class Held(Model):
    """What a user holds and has used. The least `running` over `share` is next, then `used_s`."""

    owner: str = Field(description="`others` where results are private and it is not you.")
    running: int = Field(description="Slots that their trials hold.")
    share: float
    used_s: float = Field(description="Slot-seconds; half of them are forgotten every week.")
    max_running: int | None = Field(description="Most slots at once; null without a limit.")


class Ahead(Model):
    owner: str
    count: int


class WhyWaiting(Model):
    """Why a trial waits. What does not apply is null or empty."""

    trial_id: int
    state: TrialState
    priority: Literal["low", "normal", "high"]
    reason: Reason
    sentence: str
    pending: str = Field(description="What it was asked to do on its slot; empty when nothing.")
    place: int | None = Field(description="In the whole queue, from 1.")
    ahead: int | None = Field(description="Trials that come first on slots that could run it.")
    ahead_of: list[Ahead] = Field(description="Whose they are.")
    able_slots: int = Field(description="Slots that could run it.")
    free_slots: int
    owner: Held | None = Field(description="Whose it is; null when it does not wait.")
    next: Held | None = Field(description="Who gets the next slot.")
    waited_s: float | None
    by_age_s: float | None = Field(description="Seconds until it may be taken out of turn.")
    estimate_s: float | None = Field(description="A guess of the seconds until it starts.")
    arithmetic: str = Field(description="How the estimate comes, or why there is none.")
    together: str | None = Field(
        description="With whom it is trained together, or why by itself; null without `fuse`."
    )
    together_with: list[int] = Field(description="The ids of those trials.")


class TrialChangeBody(Body):
    """A new class for a trial that waits."""

    priority: Literal["low", "normal", "high"] = Field(
        description="high is for administrators to give."
    )


def why_of(
    found: Why, names: Mapping[int, str], only_owner_id: int | None, pending: str,
    company: Company | None = None,
) -> WhyWaiting:  # fmt: skip
    """As one viewer may see it; `only_owner_id` hides whose the other trials are."""

    def name(user_id: int) -> str:
        hidden = only_owner_id is not None and user_id != only_owner_id
        return OTHERS if hidden else names.get(user_id, OTHERS)

    counts: dict[str, int] = {}
    for user_id, count in found.by_owner:
        counts[name(user_id)] = counts.get(name(user_id), 0) + count
    following = None
    waits = found.reason not in ("running", "ended", "paused", "rung")
    if found.next_owner_id is not None and found.next_standing is not None:
        following = _held(name(found.next_owner_id), found.next_standing)
    fields: JsonObject = {
        "trial_id": found.trial_id,
        "state": found.state,
        "priority": priority_word(found.priority),
        "reason": found.reason,
        "sentence": found.sentence,
        "pending": pending,
        "place": found.place,
        "ahead": found.ahead,
        "ahead_of": [{"owner": owner, "count": count} for owner, count in counts.items()],
        "able_slots": found.able_slots,
        "free_slots": found.free_slots,
        "owner": _held(name(found.owner_id), found.standing) if waits else None,
        "next": following,
        "waited_s": found.waited_s,
        "by_age_s": found.by_age_s,
        "estimate_s": found.estimate.seconds,
        "arithmetic": found.estimate.arithmetic,
        "together": company.sentence if company else None,
        "together_with": list(company.trials) if company else [],
    }
    return WhyWaiting.model_validate(fields)


def _held(owner: str, standing: Standing) -> JsonObject:
    return {
        "owner": owner,
        "running": standing.running,
        "share": standing.share,
        "used_s": standing.used_s,
        "max_running": standing.limit,
    }
