"""`python -m labpool.readers --out FILE [--limits …] FILE…`: read data in a process of its own.

The process bounds its own memory, time and output before it opens anything. It writes the examples
as labpool keeps them and prints one line of JSON: what they are, or why they are refused.
"""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path

from labpool.readers.keeping import write
from labpool.readers.labelled import from_files
from labpool.readers.limits import MIB, BadData, Limits
from labpool.readers.picture import picture_of

CPU_S = 120


def main() -> None:
    """Read, and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m labpool.readers")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--file-bytes", type=int, required=True)
    parser.add_argument("--array-bytes", type=int, required=True)
    parser.add_argument("files", type=Path, nargs="+")
    given = parser.parse_args()
    limits = Limits(file_bytes=given.file_bytes, array_bytes=given.array_bytes)
    _confine(limits)
    print(json.dumps(_answer(given.files, given.out, given.picture, limits)))  # noqa: T201 - it is the answer


def _confine(limits: Limits) -> None:
    # The numbers as they stood, as they are kept, and on their way from one to the other.
    memory = 256 * MIB + 4 * limits.array_bytes
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    written = limits.array_bytes + MIB
    resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _answer(files: list[Path], out: Path, picture: Path, limits: Limits) -> dict[str, object]:
    try:
        examples = from_files(files, limits)
        digest = write(examples, out)
        drawn = picture_of(examples)
        if drawn is not None:
            picture.write_bytes(drawn)
    except BadData as error:
        return {"refused": error.detail}
    except MemoryError:
        return {"refused": "reading it takes more memory than is allowed."}
    return {
        "sha256": digest,
        "bytes": out.stat().st_size,
        "kind": examples.kind,
        "shape": list(examples.shape),
        "counts": examples.counts,
        "class_names": examples.class_names,
        "test": examples.test,
    }


if __name__ == "__main__":
    main()
