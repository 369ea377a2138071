"""The files of a trial: what there is, and saving it with its sha256 checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from labpool.client.errors import Damaged, NotThere
from labpool.client.transport import Transport


class Downloads:
    """The part of a client that fetches files."""

    _transport: Transport

    def checkpoints(self, trial_id: int) -> list[dict[str, Any]]:
        """A trial's kept checkpoints, newest first."""
        return list(self._transport.get(f"/trials/{trial_id}/checkpoints")["checkpoints"])

    def artifacts(self, trial_id: int) -> list[dict[str, Any]]:
        """A trial's other files."""
        return list(self._transport.get(f"/trials/{trial_id}/artifacts")["artifacts"])

    def download_checkpoint(
        self, trial_id: int, path: str | os.PathLike[str], checkpoint_id: int | None = None
    ) -> Path:
        """Save a checkpoint (the best one by default) as `path`, its sha256 checked.

        Raises Damaged, and leaves no file, when what came is not what the service recorded.
        """
        kept = self.checkpoints(trial_id)
        wanted = [
            item
            for item in kept
            if (item["best"] if checkpoint_id is None else item["id"] == checkpoint_id)
        ]
        if not wanted:
            raise NotThere(f"Trial {trial_id} has no such checkpoint; it keeps {len(kept)}.")
        return self._download(wanted[0], Path(path))

    def download_artifact(self, artifact: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
        """Save one of `artifacts()` as `path`, its sha256 checked."""
        return self._download(artifact, Path(path))

    def _download(self, item: Mapping[str, Any], path: Path) -> Path:
        partial = path.with_name(path.name + ".part")
        digest = hashlib.sha256()
        try:
            with (
                self._transport.stream(item["url"]) as answer,
                partial.open("wb") as file,
            ):
                for chunk in answer.iter_bytes(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != item["sha256"]:
                raise Damaged(f"{path}: sha256 {digest.hexdigest()}, recorded {item['sha256']}")
            partial.replace(path)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()
        return path
