"""A user's own CUDA source for a catalog kernel's signature: its form, its name and its refusals.

A stored spec names a source by its digest and never holds its text, so that whatever shows a spec
shows nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from labpool.catalog import KernelEntry
from labpool.errors import Problem, pointer

MOST_BYTES: Final = 64 * 1024
KERNELS: Final = "kernels"
"""The capability that an administrator grants."""
_NAME: Final = re.compile(r"sha256:([0-9a-f]{64})")
_ENTRY: Final = re.compile(
    r"__global__\s+(?:__launch_bounds__\s*\([^()]*\)\s*)?void\s+"
    r"(?:__launch_bounds__\s*\([^()]*\)\s*)?(\w+)\s*\(([^()]*)\)"
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_QUALIFIERS: Final = frozenset({"const", "__restrict__", "__restrict", "restrict"})
_C_TYPES: Final = {"float32": "float", "float64": "double"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A function that can be launched: the types of its parameters, and how it is written."""

    types: tuple[str, ...]
    text: str


def name_of(text: str) -> str:
    """What a stored spec says in place of the text."""
    return f"sha256:{sha256(text.encode()).hexdigest()}"


def digest_in(source: str) -> str | None:
    """The digest in the name of a source that was submitted before; None for a text."""
    found = _NAME.fullmatch(source.strip())
    return found[1] if found else None


def own_source(spec: Mapping[str, Any]) -> str | None:
    """What a spec says as its source, text or name; None when the catalog's runs."""
    source = spec.get("source")
    return source if isinstance(source, str) else None


def entries(text: str) -> dict[str, Entry]:
    """The `__global__` functions of a source, by name, as far as they are written out."""
    plain = " ".join(_without_comments(text).split())
    return {
        found[1]: Entry(
            tuple(_type(part) for part in found[2].split(",") if part.strip()),
            f"{found[1]}({found[2]})",
        )
        for found in _ENTRY.finditer(plain)
    }


def source_problems(
    raw: Mapping[str, Any], kernel: KernelEntry | None, where: tuple[str | int, ...]
) -> list[Problem]:
    """What is wrong with the `source` of a benchmark spec, beyond its being text."""
    source = own_source(raw)
    if source is None:
        return []
    problems = []
    if raw.get("device") == "cpu":
        message = "cpu runs no CUDA source."
        problems.append(
            Problem(pointer(*where, "device"), message, "Say gpu, or leave the source out.")
        )
    if digest_in(source) is None:
        problem = _of_text(source, kernel, raw.get("dtype"))
        problems += [Problem(pointer(*where, "source"), *problem)] if problem else []
    return problems


def _of_text(text: str, kernel: KernelEntry | None, dtype: Any) -> tuple[str, str] | None:
    """(message, hint) of the first thing that is wrong with a source's text."""
    if text.startswith("@"):
        hint = "`labpool submit` reads it from there; elsewhere give the text itself."
        return "is the name of a file.", hint
    size = len(text.encode(errors="replace"))
    if size > MOST_BYTES:
        return f"has {size} bytes; at most {MOST_BYTES} are taken.", "Shorten it."
    if _CONTROL.search(text):
        return "holds a control character.", "Remove it; line breaks and tabs may stay."
    return None if kernel is None else _unfit(text, kernel, dtype)


def _unfit(text: str, kernel: KernelEntry, dtype: Any) -> tuple[str, str] | None:
    wanted, found = _of_catalog(kernel.path / "kernel.cu"), entries(text)
    real = _C_TYPES.get(dtype or kernel.dtypes[0], "REAL")
    known = [name for name in wanted if name in found]
    if not known:
        listed = "; ".join(f'extern "C" __global__ void {one.text}' for one in wanted.values())
        return f"defines no entry of the kernel {kernel.name!r}.", f"Define one of: {listed}."
    for name in known:
        if _as_real(found[name].types, real) != wanted[name].types:
            hint = f"It must be {wanted[name].text}; names of parameters are free."
            return f"{name} has other parameters than the catalog's.", hint
    if 'extern "C"' not in " ".join(_without_comments(text).split()):
        return f"{known[0]} has no C linkage.", 'Write extern "C" before __global__.'
    return None


@cache
def _of_catalog(path: Path) -> Mapping[str, Entry]:
    # The service reads the catalog once, when it starts; its kernels' signatures too.
    return entries(path.read_text(encoding="utf-8"))


def _as_real(types: tuple[str, ...], real: str) -> tuple[str, ...]:
    return tuple(re.sub(rf"^{real}(?=\**$)", "REAL", one) for one in types)


def _without_comments(text: str) -> str:
    # By hand: a pattern looks for the end of each comment anew, which 64 KiB of "/*" make costly.
    kept, place = [], 0
    while (begin := min(_places(text, place))) < len(text):
        kept.append(text[place:begin])
        end = text.find("\n" if text.startswith("//", begin) else "*/", begin + 2)
        place = len(text) if end < 0 else end + (0 if text[end] == "\n" else 2)
    return " ".join([*kept, text[place:]])


def _places(text: str, start: int) -> tuple[int, int]:
    """Where the next comment of either kind begins; the text's end where none does."""
    first, second = text.find("//", start), text.find("/*", start)
    return (first if first >= 0 else len(text)), (second if second >= 0 else len(text))


def _type(parameter: str) -> str:
    """`const REAL* __restrict__ x` as `REAL*`: how it is passed, and no more."""
    words = re.findall(r"\w+|\*|\S", parameter)
    kept = [word for word in words if word not in _QUALIFIERS]
    if len(kept) > 1 and re.fullmatch(r"\w+", kept[-1]):
        kept.pop()
    return "".join(kept)
