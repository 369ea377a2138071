"""A spec as it is sent: from a dict, a file, or its own text."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labpool.client.errors import SpecUnreadable

Spec = Mapping[str, Any] | str | os.PathLike[str]


def spec_content(spec: Spec) -> tuple[bytes, str]:
    """A spec as bytes and their media type.

    A string with a line break or a brace is the text of a spec, any other a path. Raises
    SpecUnreadable when there is no such file.
    """
    if isinstance(spec, Mapping):
        return json.dumps(spec, allow_nan=False).encode(), "application/json"
    if isinstance(spec, str) and ("\n" in spec or spec.lstrip().startswith("{")):
        return spec.encode(), "application/yaml"
    path = Path(spec)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpecUnreadable(f"{path}: {error.strerror}") from None
    is_json = path.suffix.lower() == ".json"
    return content, "application/json" if is_json else "application/yaml"
