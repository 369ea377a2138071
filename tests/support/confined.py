"""Run a command on a machine that lacks something: no network, a tiny disk, a read-only folder.

    python confined.py [--no-network] [--tiny-disk FOLDER KIB] [--read-only FOLDER] -- COMMAND…

Linux namespaces do it, so the command is the real one and nothing outside it is touched. Started
as a plain file. `is_possible` says whether this machine lets us; where not, tests do with less.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40


def confined(*options: str) -> list[str]:
    """What to put before a command."""
    return [sys.executable, str(Path(__file__).resolve()), *options, "--"]


@cache
def is_possible() -> bool:
    """Whether this machine lets us make namespaces."""
    if sys.platform != "linux":
        return False
    tried = [*confined("--no-network", "--read-only", "/tmp"), "true"]
    return subprocess.run(tried, check=False, capture_output=True).returncode == 0


def main() -> None:
    """Confine this process, then become the command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--tiny-disk", nargs=2, metavar=("FOLDER", "KIB"))
    parser.add_argument("--read-only", metavar="FOLDER")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    libc = ctypes.CDLL(None, use_errno=True)
    _unshare(libc, CLONE_NEWNS | (CLONE_NEWNET if given.no_network else 0))
    _mount(libc, b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    if given.no_network:
        _raise_loopback()
    if given.tiny_disk:
        folder, size = given.tiny_disk
        options = f"size={size}k,mode=700".encode()
        _mount(libc, b"tmpfs", folder.encode(), b"tmpfs", 0, options)
    if given.read_only:
        folder = given.read_only.encode()
        _mount(libc, folder, folder, None, MS_BIND, None)
        _mount(libc, folder, folder, None, MS_BIND | MS_REMOUNT | MS_RDONLY, None)
    os.execvp(given.command[0], given.command)  # noqa: S606


def _unshare(libc: ctypes.CDLL, flags: int) -> None:
    if libc.unshare(flags) == 0:
        return
    # Without root's rights in this machine we can have them in a user namespace of our own.
    user, group = os.getuid(), os.getgid()
    _check(libc.unshare(flags | CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _mount(
    libc: ctypes.CDLL,
    source: bytes,
    target: bytes,
    kind: bytes | None,
    flags: int,
    data: bytes | None,
) -> None:
    _check(libc.mount(source, target, kind, ctypes.c_ulong(flags), data))


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING)
        fcntl.ioctl(handle, SIOCSIFFLAGS, request)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main()
