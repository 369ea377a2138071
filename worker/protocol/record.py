"""What all messages are."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from worker.wire_types import Identity


class Record(BaseModel):
    """Typed strictly, unknown keys refused, never changed."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class OfTrial(Record):
    """A message about one claim of one trial; a slot drops those of another fence."""

    trial: Identity
    fence: Identity
