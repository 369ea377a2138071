"""What the compiler's log may tell, and what it says of each entry's needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from worker.runner.reasons import CompileError

LOG_BYTES = 16 * 1024
MOST_ENTRIES = 32
LONGEST_ENTRY = 255
ENTRY = re.compile(r"^ptxas info +: Compiling entry function '([^'\n]+)'", re.MULTILINE)
SPILLS = r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
NEEDS = re.compile(r"^ptxas info +: Used (\d+) registers(.*)$", re.MULTILINE)
SHARED = re.compile(r"(\d+) bytes smem")
ASSEMBLER = re.compile(r"ptxas (?:application ptx input, line \d+; )?(?:error|fatal|warning)\b")
PATH = re.compile(r"(?<![\w.])/[^\s\"']+")
INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Resources:
    """What one entry takes: registers of a thread, bytes of a block or a thread."""

    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_store_bytes: int
    spill_load_bytes: int


def filtered(log: str, name: str) -> str:
    """What concerns the user's file `name`, at most LOG_BYTES, without paths of the machine."""
    kept: list[str] = []
    about_file = False
    for line in log.splitlines():
        # Below a message stand its source line and a caret, set in.
        about_file = line.startswith(f"{name}(") or (about_file and line.startswith("  "))
        if about_file or ASSEMBLER.match(line.strip()):
            kept.append(line if line.startswith("  ") else PATH.sub("[path]", line.strip()))
    text = INVISIBLE.sub("\ufffd", "\n".join(kept))
    return text.encode()[:LOG_BYTES].decode(errors="ignore")


def resources(log: str) -> dict[str, Resources]:
    """What each entry takes, from the assembler's verbose lines. Raises CompileError."""
    found: dict[str, Resources] = {}
    starts = [match.start() for match in ENTRY.finditer(log)]
    for start, end in pairwise([*starts, len(log)]):
        part = log[start:end]
        entry = _entry(part)
        # An entry's own, not that of a function it calls.
        spills = re.search(rf"Function properties for {re.escape(entry)}\n[^\n]*?{SPILLS}", part)
        needs = NEEDS.search(part)
        if spills and needs:
            shared = SHARED.search(needs[2])
            found[entry] = Resources(
                int(needs[1]), int(shared[1]) if shared else 0, *map(int, spills.groups())
            )
    if len(found) > MOST_ENTRIES:
        raise CompileError(f"source: has {len(found)} kernels; at most {MOST_ENTRIES}.")
    return found


def _entry(part: str) -> str:
    match = ENTRY.match(part)
    assert match is not None
    if len(match[1]) > LONGEST_ENTRY:
        raise CompileError(f"source: a kernel's name is over {LONGEST_ENTRY} characters long.")
    return match[1]
