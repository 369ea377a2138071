"""How much is read, and the one error of all readers."""

from __future__ import annotations

from dataclasses import dataclass

from labpool.errors import LabpoolError

MIB = 1024 * 1024
# Deflate cannot do better than 1032 to 1: what declares more than that is a lie.
MOST_DEFLATED = 1032
BLOCK_BYTES = 256 * 1024


class BadData(LabpoolError):
    """This file cannot be taken as data."""

    def __init__(self, file: str, where: str, reason: str) -> None:
        self.file, self.where, self.reason = file, where, reason
        super().__init__(f"{file}: {where}: {reason}" if where else f"{file}: {reason}")


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that is read of one file, and the most its arrays may hold together, in bytes."""

    file_bytes: int = 64 * MIB
    array_bytes: int = 256 * MIB
    examples: int = 10_000_000
    classes: int = 1000
