"""What a source could learn about the machine by being compiled: nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.compiles import KERNEL
from worker.runner.compiling import compile_apart
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


def outcome(leak: str, path: Path) -> str | tuple[bytes, str]:
    """All that a user gets to see of a compile."""
    try:
        compiled = compile_apart(
            f"{leak.replace('{}', str(path))}\n{KERNEL}", "mine.cu", "sm_80", [], None
        )
    except CompileError as error:
        return str(error)
    return compiled.cubin, compiled.log


@pytest.mark.parametrize("leak", LEAKS)
def test_a_file_is_neither_read_nor_found(leak: str, tmp_path: Path) -> None:
    there, missing = tmp_path / "a.txt", tmp_path / "b.txt"
    there.write_text(SECRET * 10)
    seen = outcome(leak, there)
    assert SECRET not in str(seen)
    # Names of one length: whatever differs tells whether the file exists.
    assert str(seen).replace("a.txt", "b.txt") == str(outcome(leak, missing))
