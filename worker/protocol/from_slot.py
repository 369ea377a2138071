"""What a slot says."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from worker.protocol.record import OfTrial, Record
from worker.wire_types import AbsolutePath, Count, Digest, FileName, Json, Label, plain_json


class CodeReference(Record):
    """A catalog entry that the runner loads after its digest was checked."""

    name: Label
    path: AbsolutePath
    digest: Digest


class Resume(Record):
    """A checkpoint to go on from: a file in the trial's scratch folder."""

    file: FileName
    epoch: Count
    sha256: Digest


class Origin(Record):
    """Another trial's checkpoint, whose weights to begin with: a file in the scratch folder."""

    file: FileName
    sha256: Digest


class TrialToRun(OfTrial):
    """One trial as claimed: `spec` is resolved, `scratch` and `log` are absolute paths.

    It pauses by itself after the epoch `halts_at`, if that is not its last.
    """

    kind: Literal["train", "benchmark"]
    spec: Annotated[Json, AfterValidator(plain_json)]
    code: CodeReference
    data: CodeReference | None
    scratch: AbsolutePath
    log: AbsolutePath
    resume: Resume | None = None
    origin: Origin | None = None
    halts_at: Count | None = None


class Run(Record):
    """Run these trials, one after another or `together`: see `apart` for when that cannot be."""

    type: Literal["run"] = "run"
    trials: Annotated[tuple[TrialToRun, ...], Field(min_length=1, max_length=64)]
    together: bool = False


class Cancel(OfTrial):
    """Stop this trial at the next cancel point, or never start it."""

    type: Literal["cancel"] = "cancel"


class Pause(OfTrial):
    """Save and give this trial back at the end of its epoch."""

    type: Literal["pause"] = "pause"


class Stop(OfTrial):
    """End this trial with its epoch, and make a result of what there is."""

    type: Literal["stop"] = "stop"


class GoOn(OfTrial):
    """Neither pause nor stop this trial any more; too late if it has been answered."""

    type: Literal["resume"] = "resume"


class Kept(OfTrial):
    """The checkpoint of this epoch is recorded, or never will be: the runner need not wait."""

    type: Literal["kept"] = "kept"
    epoch: Count


class Bye(Record):
    """End the process once it is idle."""

    type: Literal["bye"] = "bye"


FromSlot: TypeAlias = Run | Cancel | Pause | Stop | GoOn | Kept | Bye
