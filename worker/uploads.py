"""An upload on its way from the artifact store to a runner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from db.artifacts import ArtifactStore
from labpool.catalog import digest_of
from labpool.uploads import prepare
from worker.protocol import CodeReference
from worker.upload_cache import UploadCache


def bring(
    store: ArtifactStore, cache: UploadCache, files: Path, name: str, parameters: Mapping[str, Any]
) -> CodeReference:
    """Lay out an upload in ``files`` as a data set that a runner loads.

    An upload that is in the store no more leaves no examples, which the runner says. Raises
    OSError.
    """
    folder = files / "upload"
    folder.mkdir()
    toml, target = prepare(folder, parameters)
    cache.hand_over(store, str(parameters["key"]), str(parameters["sha256"]), target)
    return CodeReference(name=name, path=str(toml.absolute()), digest=digest_of(toml))
