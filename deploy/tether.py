"""Run a command that ends when its starter ends.

Usage: `python -I -S tether.py PARENT_PID COMMAND [ARGUMENT…]`

The kernel sends this process SIGTERM when the thread that started it dies, however it dies; the
setting survives exec. Started as a plain file: it must import nothing of labpool to stay quick.
On systems without prctl (macOS) the command runs untethered.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PARENT_GONE_STATUS = 143


def tether(parent_pid: int) -> None:
    """Ask for SIGTERM at the parent's death; exit if the parent is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(PARENT_GONE_STATUS)


def main(arguments: list[str]) -> None:
    """Tether this process, then become the command."""
    tether(int(arguments[0]))
    os.execvp(arguments[1], arguments[1:])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main(sys.argv[1:])
