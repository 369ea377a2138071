"""A runner never outlives its slot."""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1


def hold_to(parent_pid: int) -> None:
    """Have the kernel kill this process when the thread that started it ends.

    Exits at once when the parent is already another process than `parent_pid`: it ended between
    starting this process and the call that asks for the signal.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        os._exit(1)
