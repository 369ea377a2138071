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
from db.origins import point_of
from db.own_sources import source_to_run
from db.states import Wish
from labpool.catalog import Catalog, Entry
from labpool.errors import LabpoolError
from labpool.origins import begun_from
from labpool.own_source import own_source
from labpool.uploads import DIGEST as UPLOADS
from worker.database_access import DatabaseAccess
from worker.files import fetch
from worker.logs import TrialLog
from worker.protocol import CodeReference, Origin, Resume, TrialToRun
from worker.recording import Recorder
from worker.upload_cache import UploadCache
from worker.uploads import bring

logger = logging.getLogger(__name__)

# A runner has no use for these, and long notes would not fit into its message.
FOR_PEOPLE = frozenset({"name", "notes", "tags"})
OWN_SOURCE = "own.cu"
"""A user's own kernel, in the runner's folder."""


class OtherCatalog(LabpoolError):
    """This worker's catalog does not hold what the trial was made from."""

    permanent = False


class OriginGone(LabpoolError):
    """The weights that this trial begins with are gone from the artifact store, or damaged."""


@dataclass(slots=True)
class Attempt:
    """A claimed trial while this slot holds it. ``settled``: nothing more is to be written.

    ``began``: the runner is at work on it. ``wish`` is what the runner knows of its owner's wishes.
    ``answered``: the runner has said how it ended. ``pruning``: it was told to cancel because the
    trial's sweep goes on without it.
    """

    claimed: ClaimedTrial
    folder: Path
    log: TrialLog
    recorder: Recorder
    resume: Resume | None = None
    origin: Origin | None = None
    message: TrialToRun | None = None
    upload: CodeReference | None = None
    began: bool = False
    cancel_sent: bool = False
    pause_sent: bool = False
    pruning: bool = False
    answered: bool = False
    wish: Wish | None = None
    settled: bool = False

    @property
    def trial(self) -> int:
        return self.claimed.trial_id

    @property
    def fence(self) -> int:
        return self.claimed.fence

    def may_pause_after(self, epoch: int) -> bool:
        """Whether anybody has asked the runner to pause there."""
        halts_at = self.claimed.halts_at
        return self.pause_sent or (halts_at is not None and epoch >= halts_at)

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
    data = attempt.upload
    if claimed.data_name is not None and data is None:
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
        origin=attempt.origin,
        halts_at=claimed.halts_at,
    )


def reference(entry: Entry | None, digest: str | None) -> CodeReference:
    """A catalog entry as a runner is told of it. Raises OtherCatalog."""
    if entry is None or entry.digest != digest:
        raise OtherCatalog("Restart the worker after a change of its catalog.")
    return CodeReference(name=entry.name, path=str(entry.path.absolute()), digest=entry.digest)


def fetch_files(
    attempt: Attempt,
    database: DatabaseAccess,
    store: ArtifactStore,
    cache: UploadCache,
    give_up: Callable[[], bool],
) -> None:
    """Bring what the trial goes on from and began with into the runner's folder, its upload and
    its own source.

    Raises OriginGone, SourceWithheld, DatabaseAway, and OSError when a folder cannot be written.
    """
    attempt.resume = fetch_resume(attempt, database, store, give_up)
    attempt.origin = fetch_origin(attempt, database, store, give_up)
    attempt.upload = bring_upload(attempt, store, cache)
    fetch_source(attempt, database, give_up)


def fetch_source(
    attempt: Attempt, database: DatabaseAccess, give_up: Callable[[], bool]
) -> None:  # fmt: skip
    """Write a user's own source into the runner's folder, if the trial has one.

    Raises SourceWithheld, DatabaseAway, and OSError when the folder cannot be written.
    """
    if own_source(attempt.claimed.spec) is None:
        return
    text = database.insist(lambda session: source_to_run(session, attempt.trial), give_up)
    # Byte for byte, line ends too: the runner compares its digest.
    (attempt.files / OWN_SOURCE).write_bytes((text or "").encode())


def bring_upload(
    attempt: Attempt, store: ArtifactStore, cache: UploadCache
) -> CodeReference | None:
    """What the runner loads for a trial on an upload; None for one on the catalog's data.

    Raises OSError.
    """
    claimed = attempt.claimed
    if claimed.data_name is None or claimed.data_digest != UPLOADS:
        return None
    return bring(
        store, cache, attempt.files, claimed.data_name, claimed.spec["dataset_parameters"]
    )  # fmt: skip


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


def fetch_origin(
    attempt: Attempt,
    database: DatabaseAccess,
    store: ArtifactStore,
    give_up: Callable[[], bool],
) -> Origin | None:
    """Bring the checkpoint that the trial begins with into the runner's folder.

    None when it begins with nothing. Raises OriginGone, DatabaseAway, and OSError when the folder
    cannot be written.
    """
    named = begun_from(attempt.claimed.spec)
    if named is None:
        return None
    point = database.insist(lambda session: point_of(session, named), give_up)
    file = "origin.npz"
    if point is not None and fetch(store, point.key, point.sha256, attempt.files / file):
        return Origin(file=file, sha256=point.sha256)
    if attempt.resume is not None:
        # It has gone past its beginning.
        attempt.log.note(f"the weights of trial {named.trial} are damaged or gone; not needed now")
        return None
    raise OriginGone(
        f"They are the checkpoint of trial {named.trial} with the sha256 {named.sha256}. Begin "
        f"with what that trial still keeps (init_from: {named.trial}), or run it again."
    )


def _discard(session: Session, point: ResumePoint) -> None:
    discard(session, point.checkpoint_id)


def _candidates(
    claimed: ClaimedTrial, database: DatabaseAccess, give_up: Callable[[], bool]
) -> list[ResumePoint]:
    # Asked for anew rather than carried along in the claim: damage is rare.
    return database.insist(lambda session: resume_points(session, claimed.trial_id), give_up)
