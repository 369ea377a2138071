"""The fence about a process that drives a user's own kernel.

A driver needs threads, ioctl and its device files, so the compiler's narrow fence does not fit. Two
others of Linux stand here, neither asks for a privilege and both hold in containers: Landlock shuts
every file but the system's, the GPU's and the scratch folder; a seccomp filter refuses to start
programs, to open sockets, and to reach into other processes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
X86_64 = 0xC000003E
OTHER_NUMBERS = 0x40000000
"""From here on the numbers mean the calls of another interface."""
CLONE, CLONE3, TGKILL, CLONE_THREAD = 56, 435, 234, 0x00010000
REFUSED = {
    "shmget": 29, "socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50,
    "socketpair": 53, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "msgget": 68,
    "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93, "ptrace": 101, "rt_sigqueueinfo": 129,
    "pivot_root": 155, "chroot": 161, "mount": 165, "init_module": 175, "tkill": 200,
    "mq_open": 240, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
    "fchownat": 260, "fchmodat": 268, "unshare": 272, "accept4": 288, "rt_tgsigqueueinfo": 297,
    "perf_event_open": 298, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310,
    "process_vm_writev": 311, "finit_module": 313, "bpf": 321, "execveat": 322,
    "userfaultfd": 323, "pidfd_send_signal": 424, "io_uring_setup": 425, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "pidfd_open": 434, "pidfd_getfd": 438,
}  # fmt: skip

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ASK_VERSION, PATH_BENEATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIRECTORY = 1, 2, 4, 8
# All that a version knows of files; what was not handled would stay allowed.
FILE_BITS = {1: 13, 2: 14}
FILE_BITS_NOW = 15
NETWORK_SINCE, BIND_AND_CONNECT = 4, 3
SCOPES_SINCE, SOCKETS_AND_SIGNALS = 6, 3
READABLE = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/sys", "/proc/self", "/proc/driver",
            "/proc/devices", "/proc/meminfo", "/proc/cpuinfo")  # fmt: skip
DEVICES = ("null", "zero", "urandom", "nvidia*", "nvidia-caps/*")


def close(scratch: Path) -> bool:
    """Whether the fence now stands about this process; it can never be taken away.

    Of the host's files only those below `scratch` can be written. False where the system has no
    such fence or is not Linux on x86-64, whose calls it knows.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or not _shut_files(libc, scratch):
        return False
    code = b"".join(_program(os.getpid()))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    return libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) == 0 and _stands()


def _shut_files(libc: ctypes.CDLL, scratch: Path) -> bool:
    version = libc.syscall(CREATE_RULESET, None, 0, ASK_VERSION)
    if version < 1:
        return False
    everything = (1 << FILE_BITS.get(version, FILE_BITS_NOW)) - 1
    attributes = struct.pack("Q", everything)
    if version >= NETWORK_SINCE:
        attributes += struct.pack("Q", BIND_AND_CONNECT)
    if version >= SCOPES_SINCE:
        attributes += struct.pack("Q", SOCKETS_AND_SIGNALS)
    rules = libc.syscall(CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    try:
        for path, access in _open_paths(scratch, everything):
            _allow(libc, rules, path, access)
        return bool(libc.syscall(RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _open_paths(scratch: Path, everything: int) -> Iterator[tuple[Path, int]]:
    yield scratch, everything
    for name in (*READABLE, sys.prefix, sys.base_prefix):
        yield Path(name), READ_FILE | READ_DIRECTORY | EXECUTE
    for pattern in DEVICES:
        for path in Path("/dev").glob(pattern):
            yield path, READ_FILE | WRITE_FILE


def _allow(libc: ctypes.CDLL, rules: int, path: Path, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there, so nothing to allow
    try:
        if not path.is_dir():
            access &= EXECUTE | WRITE_FILE | READ_FILE
        libc.syscall(ADD_RULE, rules, PATH_BENEATH, struct.pack("=Qi", access, place), 0)
    finally:
        os.close(place)


def _program(own_pid: int) -> Iterator[bytes]:
    yield _step(LOAD, ARCHITECTURE)
    yield _step(EQUAL, X86_64, 1, 0)
    yield _step(RETURN, KILL)
    yield _step(LOAD, NUMBER)
    yield _step(AT_LEAST, OTHER_NUMBERS, 0, 1)
    yield _step(RETURN, REFUSE | errno.EACCES)
    for number in REFUSED.values():
        yield _step(EQUAL, number, 0, 1)
        yield _step(RETURN, REFUSE | errno.EACCES)
    # The C library asks the older call then, whose flags lie in a register that can be read here.
    yield _step(EQUAL, CLONE3, 0, 1)
    yield _step(RETURN, REFUSE | errno.ENOSYS)
    yield from _only_if(CLONE, ANY_BIT, CLONE_THREAD)
    yield from _only_if(TGKILL, EQUAL, own_pid)
    yield _step(RETURN, ALLOW)


def _only_if(number: int, test: int, value: int) -> Iterator[bytes]:
    yield _step(EQUAL, number, 0, 4)
    yield _step(LOAD, FIRST_ARGUMENT)
    yield _step(test, value, 0, 1)
    yield _step(RETURN, ALLOW)
    yield _step(RETURN, REFUSE | errno.EACCES)


def _step(code: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_so, if_not, value)


def _stands() -> bool:
    """A filter that a strange system takes and does not keep is none."""
    try:
        os.close(os.open("/", os.O_RDONLY))
        return False
    except PermissionError:
        pass
    try:
        socket.socket().close()
        return False
    except PermissionError:
        return True
