"""An upload on its way from the artifact store to a runner: kept on this host, by its sha256."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from db.artifacts import ArtifactStore
from labpool.catalog import digest_of
from labpool.readers.keeping import digest_of as digest_of_file
from labpool.uploads import prepare
from worker.files import fetch
from worker.protocol import CodeReference

FOLDER = "uploads"


def bring(
    store: ArtifactStore, cache: Path, files: Path, name: str, parameters: Mapping[str, Any]
) -> CodeReference:
    """Lay out an upload in ``files`` as a data set that a runner loads.

    ``cache`` is this host's folder of data sets; what lies there is checked each time. An upload
    that is in the store no more leaves no examples, which the runner says. Raises OSError.
    """
    folder = files / "upload"
    folder.mkdir()
    toml, target = prepare(folder, parameters)
    digest = str(parameters["sha256"])
    kept = cache / FOLDER / f"{digest}.npz"
    if _is_whole(kept, digest) or _copy(store, str(parameters["key"]), digest, kept):
        # Should a runner spoil it, the next one's check finds that and fetches it anew.
        _hand_over(kept, target)
    return CodeReference(name=name, path=str(toml.absolute()), digest=digest_of(toml))


def _is_whole(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as file:
            return digest_of_file(file) == digest
    except FileNotFoundError:
        return False


def _copy(store: ArtifactStore, key: str, digest: str, kept: Path) -> bool:
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_name(f".{kept.name}.{uuid.uuid4().hex}")
    try:
        if not fetch(store, key, digest, temporary):
            return False
        temporary.chmod(0o444)
        temporary.replace(kept)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _hand_over(kept: Path, target: Path) -> None:
    try:
        os.link(kept, target)
    except OSError:  # another file system
        target.symlink_to(kept)
