"""One attempt at a trial on this slot: its folder, its log, and where it goes on from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy.orm import Session

from db.artifacts import ArtifactStore
from db.checkpoints import ResumePoint, discard, resume_points
from db.claims import ClaimedTrial
from db.states import Wish
from labpool.catalog import Catalog, Entry
from labpool.errors import LabpoolError
from worker.database_access import DatabaseAccess
from worker.files import fetch
from worker.logs import TrialLog
from worker.protocol import CodeReference, Resume, TrialToRun
from worker.recording import Recorder

logger = logging.getLogger(__name__)

# A runner has no use for these, and long notes would not fit into its message.
FOR_PEOPLE = frozenset({"name", "notes", "tags"})


class OtherCatalog(LabpoolError):
    """This worker's catalog does not hold what the trial was made from."""

    permanent = False


@dataclass(slots=True)
class Attempt:
    """A claimed trial while this slot holds it. ``settled``: nothing more is to be written.

    ``began``: the runner is at work on it. ``wish`` is what the runner knows of its owner's wishes.
    """

    claimed: ClaimedTrial
    folder: Path
    log: TrialLog
    recorder: Recorder
    resume: Resume | None = None
    message: TrialToRun | None = None
    began: bool = False
    cancel_sent: bool = False
    pause_sent: bool = False
    wish: Wish | None = None
    settled: bool = False

    @property
    def trial(self) -> int:
        return self.claimed.trial_id

    @property
    def fence(self) -> int:
        return self.claimed.fence

    @property
    def files(self) -> Path:
        """The folder that the runner writes to; the log lies outside of it."""
        return files_of(self.folder)


def files_of(folder: Path) -> Path:
    """The runner's part of an attempt's folder."""
    return folder / "files"


def message_of(attempt: Attempt, catalog: Catalog) -> TrialToRun:
    """The trial as the runner gets it. Raises OtherCatalog."""
    claimed = attempt.claimed
    code = catalog.models if claimed.kind == "train" else catalog.kernels
    data = None
    if claimed.data_name is not None:
        data = reference(catalog.datasets.get(claimed.data_name), claimed.data_digest)
    return TrialToRun(
        trial=claimed.trial_id,
        fence=claimed.fence,
        kind="train" if claimed.kind == "train" else "benchmark",
        spec={key: value for key, value in claimed.spec.items() if key not in FOR_PEOPLE},
        code=reference(code.get(claimed.code_name), claimed.code_digest),
        data=data,
        scratch=str(attempt.files),
        log=str(attempt.log.path),
        resume=attempt.resume,
    )


def reference(entry: Entry | None, digest: str | None) -> CodeReference:
    """A catalog entry as a runner is told of it. Raises OtherCatalog."""
    if entry is None or entry.digest != digest:
        raise OtherCatalog("Restart the worker after a change of its catalog.")
    return CodeReference(name=entry.name, path=str(entry.path.absolute()), digest=entry.digest)


def fetch_resume(
    attempt: Attempt,
    database: DatabaseAccess,
    store: ArtifactStore,
    give_up: Callable[[], bool],
) -> Resume | None:
    """Bring the newest checkpoint that is whole into the runner's folder; None when none is.

    Raises DatabaseAway, and OSError when the folder cannot be written.
    """
    if attempt.claimed.resume is None:
        return None
    for point in _candidates(attempt.claimed, database, give_up):
        file = f"resume-{point.epoch}.npz"
        if fetch(store, point.key, point.sha256, attempt.files / file):
            attempt.log.note(f"going on after epoch {point.epoch}, from attempt {point.fence}")
            return Resume(file=file, epoch=point.epoch, sha256=point.sha256)
        attempt.log.note(f"the checkpoint of epoch {point.epoch} is damaged or gone; passed over")
        # Else it would count as the newest or the best, and push out good ones.
        database.insist(partial(_discard, point=point), give_up)
        logger.error("trial %d: checkpoint %s is damaged or gone", attempt.trial, point.key)
    attempt.log.note("no checkpoint is whole: starting over")
    return None


def _discard(session: Session, point: ResumePoint) -> None:
    discard(session, point.checkpoint_id)


def _candidates(
    claimed: ClaimedTrial, database: DatabaseAccess, give_up: Callable[[], bool]
) -> list[ResumePoint]:
    # Asked for anew rather than carried along in the claim: damage is rare.
    return database.insist(lambda session: resume_points(session, claimed.trial_id), give_up)
