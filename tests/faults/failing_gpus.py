"""What is wrong with a paced worker's device: a file beside the ledger, while there is something.

Imports nothing heavy: a probe starts with it.
"""

from __future__ import annotations

from pathlib import Path

# The next operation fails, and no further one.
ONCE = "once"
# Every operation fails, and the probe, until an administrator has it repaired.
FOR_GOOD = "for good"


def fault_of(folder: Path, gpu: str) -> Path:
    """The file with what is wrong, in the ledgers' folder."""
    return folder / f"{gpu}.fault"


def fails_now(folder: Path, gpu: str) -> bool:
    """Whether an operation on it fails; a fault that comes once is over with that."""
    file = fault_of(folder, gpu)
    try:
        once = file.read_text(encoding="utf-8") == ONCE
    except OSError:
        return False
    if once:
        file.unlink(missing_ok=True)
    return True
