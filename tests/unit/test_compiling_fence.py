"""What a source could learn about the machine by being compiled: nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.compiles import KERNEL
from worker.runner.compiling import CHECKOUT, compile_apart
from worker.runner.reasons import CompileError

SECRET = "xyzzy-of-this-test"
LEAKS = (
    '#include "{}"',
    '#inc\\\nlude "{}"',
    '%:include "{}"',
    '??=include "{}"',
    '#/**/include "{}"',
    '#define F "{}"\n#include F',
    '#include_next "{}"',
    '#import "{}"',
    '#embed "{}"',
    'auto r = R"(/*)";\n#include "{}"\n',
    '#line 1 "{}"\nint x = ;',
    'asm(".inc" "bin \\"{}\\"");',
    'asm(".incbin \\"{}\\"");',
    'asm(".inc" "lude \\"{}\\"");',
    '#if __has_include("{}")\n#error there\n#endif',
    '#define H(x) __has##_include(x)\n#if H("{}")\n#error there\n#endif',
    '#define H(x) __has%:%:_include(x)\n#if H("{}")\n#error there\n#endif',
)
HARMLESS = """// #include "a", __has_include, .incbin
/* # include <b> %:%: */
#define JOIN(a, b) a##b
__device__ const char *words = "#include \\"c\\" ??/ .incbin __has_embed";
__device__ int JOIN(one, two);
"""
TRIED = """
import ctypes, json, os, socket, sys
from worker.runner import fence
libc = ctypes.CDLL(None, use_errno=True)
def call(*numbers):
    if libc.syscall(*numbers) < 0:
        raise OSError(ctypes.get_errno(), "")
tries = {
    "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "open self": lambda: os.open("/proc/self/environ", os.O_RDONLY),
    "stat": lambda: os.stat("/etc/passwd"),
    "access": lambda: call(21, b"/etc/passwd", 0),
    "readlink": lambda: os.readlink("/proc/self/exe"),
    "listdir": lambda: os.listdir("/"),
    "mkdir": lambda: os.mkdir(sys.argv[1]),
    "chdir": lambda: os.chdir("/tmp"),
    "internet": lambda: socket.socket(socket.AF_INET),
    "datagram": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "local": lambda: socket.socket(socket.AF_UNIX),
    "pair": lambda: socket.socketpair(),
    "fork": lambda: os.fork(),
    "program": lambda: os.execv("/bin/true", ["true"]),
    "signal": lambda: os.kill(os.getppid(), 0),
    "signal a thread": lambda: call(234, os.getppid(), os.getppid(), 0),
    "no thread of its own": lambda: call(234, os.getppid(), os.getpid(), 0),
    "own thread": lambda: call(234, os.getpid(), os.getpid(), 0),
    "own limits": lambda: call(302, 0, 0, 0, 0),
    "another's limits": lambda: call(302, os.getppid(), 0, 0, 0),
    "other numbers": lambda: call(0x40000000 | 39),
    "ring": lambda: call(425, 1, 0),
    "own time": lambda: os.times(),
    "own file": lambda: os.fstat(0),
}
assert fence.close()
for name, tried in tries.items():
    try:
        tried()
        print(name, "was let")
    except PermissionError:
        print(name, "was refused")
"""
LET = {"own time", "own file", "own thread", "own limits"}
WITHOUT_FENCE = """
import ctypes, sys
from worker.runner.compiling import compile_apart
# From here on the system calls itself a 32-bit one, for which there is no list of calls.
assert ctypes.CDLL(None).personality(8) >= 0
ours = sys.argv[1] == "ours"
try:
    print(len(compile_apart(sys.argv[2], "mine.cu", "sm_80", [], None, ours=ours).cubin))
except Exception as error:
    print(type(error).__name__, error)
"""


def outcome(leak: str, path: Path) -> str:
    """All that a user gets to see of a compile, in one text."""
    source = f"{leak.replace('{}', str(path))}\n{KERNEL}"
    try:
        compiled = compile_apart(source, "mine.cu", "sm_80", [], None)
    except CompileError as error:
        return str(error)
    return f"{compiled.cubin!r} {compiled.log}"


def run_python(script: str, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        check=False,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("leak", LEAKS)
def test_a_file_is_neither_read_nor_found(leak: str, tmp_path: Path) -> None:
    there, missing = tmp_path / "a.txt", tmp_path / "b.txt"
    there.write_text(SECRET * 10)
    seen = outcome(leak, there)
    assert SECRET not in seen
    # Names of one length: whatever differs tells whether the file exists.
    assert seen.replace("a.txt", "b.txt") == outcome(leak, missing)


def test_an_include_says_what_to_do() -> None:
    with pytest.raises(CompileError, match="write what you need into it"):
        compile_apart(f"#include <cuda_fp16.h>\n{KERNEL}", "mine.cu", "sm_80", [], None)


def test_words_in_comments_strings_and_macros_are_no_mistake() -> None:
    assert compile_apart(HARMLESS + KERNEL, "mine.cu", "sm_80", [], None).kernels


def test_a_process_behind_the_fence_can_only_compute(tmp_path: Path) -> None:
    said = run_python(TRIED, str(tmp_path / "new")).splitlines()
    assert len(said) == TRIED.count("lambda")
    assert {line.removesuffix(" was let") for line in said if line.endswith("let")} == LET


def test_without_a_fence_only_the_catalog_compiles() -> None:
    assert int(run_python(WITHOUT_FENCE, "ours", KERNEL)) > 0
    said = run_python(WITHOUT_FENCE, "theirs", KERNEL)
    assert said.startswith("CompileError") and "kernels of the catalog only" in said
