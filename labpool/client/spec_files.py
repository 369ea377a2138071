"""A spec as it is sent: from a dict, a file, or its own text."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labpool.client.errors import SpecUnreadable

Spec = Mapping[str, Any] | str | os.PathLike[str]
# Only what may name a file is read here at all; the service reads every spec.
_NAMES_A_FILE = re.compile(rb"\bsource[\"']?\s*:\s*[\"']@")


def spec_content(spec: Spec) -> tuple[bytes, str]:
    """A spec as bytes and their media type.

    A string with a line break or a brace is the text of a spec, any other a path. A benchmark's
    `source: "@file.cu"` becomes that file's text, looked for beside the spec's own file. Raises
    SpecUnreadable when there is no such file.
    """
    if isinstance(spec, Mapping):
        content, is_json, folder = json.dumps(spec, allow_nan=False).encode(), True, Path()
    elif isinstance(spec, str) and ("\n" in spec or spec.lstrip().startswith("{")):
        content, is_json, folder = spec.encode(), False, Path()
    else:
        path = Path(spec)
        content, is_json, folder = _read(path), path.suffix.lower() == ".json", path.parent
    if _NAMES_A_FILE.search(content):
        filled = _with_source(content, is_json, folder)
        if filled is not None:
            return filled, "application/json"
    return content, "application/json" if is_json else "application/yaml"


def _with_source(content: bytes, is_json: bool, folder: Path) -> bytes | None:
    """The spec as JSON with its source's text; None for one that the service will refuse."""
    from labpool.errors import SpecError
    from labpool.reading import read_spec

    try:
        said = read_spec(content, "json" if is_json else "yaml")
    except SpecError:
        return None
    runnable = said.get("base", said) if isinstance(said, dict) else None
    source = runnable.get("source") if isinstance(runnable, dict) else None
    if not isinstance(runnable, dict) or not isinstance(source, str) or source[:1] != "@":
        return None
    path = folder / source[1:]
    try:
        runnable["source"] = _read(path).decode()
    except UnicodeDecodeError:
        raise SpecUnreadable(f"source: {path} is not text in UTF-8.") from None
    return json.dumps(said, allow_nan=False).encode()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecUnreadable(f"{path}: {error.strerror}") from None
