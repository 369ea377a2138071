"""Bringing one's own data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from labpool.client.transport import Transport


class Uploads:
    """The part of a client that brings data sets."""

    _transport: Transport

    def upload(
        self, files: Sequence[str | os.PathLike[str]], name: str, public: bool = False
    ) -> dict[str, Any]:
        """Upload one NPZ or CSV file, or two IDX files, as a data set.

        The answer's `name` is what a spec says as `dataset`. Raises ApiError with the reason when
        it is refused.
        """
        with ExitStack() as stack:
            opened = [
                (Path(path).name, stack.enter_context(Path(path).open("rb"))) for path in files
            ]
            answer = self._transport.post_form(
                "/uploads", {"name": name, "public": "1" if public else "0"}, opened
            )
        return dict(answer)

    def uploads(self) -> list[dict[str, Any]]:
        """One's own uploads and public ones; for an admin all."""
        return list(self._transport.get("/uploads")["uploads"])

    def share_upload(self, upload_id: int) -> dict[str, Any]:
        """Make an upload public, for good: files and checkpoints of trials on it open with it."""
        return dict(self._transport.send("POST", f"/uploads/{upload_id}/share").json())

    def delete_upload(self, upload_id: int) -> None:
        """Delete an upload; refused while a trial that has not ended needs it."""
        self._transport.send("DELETE", f"/uploads/{upload_id}")
