"""Which files a kernel's source may pull in: a few CUDA headers, nothing by path."""

from __future__ import annotations

import re

from worker.runner.reasons import CompileError

HEADERS = frozenset({"cuda_fp16.h", "cuda_bf16.h", "mma.h", "cooperative_groups.h"})
# Comments are kept: a raw string can make a scanner see one where the compiler sees none.
GAP = r"(?:\s|/\*.*?\*/)*"
DIRECTIVE = re.compile(
    rf"(?:#|%:){GAP}(?:include_next|include|import|embed){GAP}([^\n]*)", re.DOTALL
)
# Pasted tokens can spell a forbidden word: __has##_include tells whether a file exists.
WORDS = re.compile(r"__has_include|__has_embed|\.incbin|##|%:%:")


def refuse_includes(source: str) -> None:
    """Raises CompileError for an include of anything but HEADERS."""
    text = source.replace("??/", "\\").replace("??=", "#")
    text = re.sub(r"\\[ \t\f\v]*(?:\r\n|\n|\r)", "", text)
    if re.search(r"[\x00-\x08\x0e-\x1f]", text):
        raise CompileError("source: holds a control character; remove it.")
    for found in DIRECTIVE.finditer(text):
        named = re.fullmatch(r"<([\w.]+)>\s*", found[1])
        if named is None or named[1] not in HEADERS:
            raise CompileError(
                f"source: only these can be included: {', '.join(sorted(HEADERS))}, in <>."
            )
    word = WORDS.search(text)
    if word is not None:
        raise CompileError(f"source: {word[0]} is not allowed; remove it.")
