"""Whether there is room for the files of another trial."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

MEBIBYTE = 1024 * 1024


def lack_of_space(folders: Mapping[str, Path], least_mb: int) -> str | None:
    """Which of these folders has less than ``least_mb`` MiB free, in words; None when none has.

    ``folders`` are named for people. A folder that cannot be looked at has no room either.
    """
    for what, folder in folders.items():
        try:
            free_mb = shutil.disk_usage(folder).free // MEBIBYTE
        except OSError as error:
            return f"no room can be seen in {what} ({folder}): {error.strerror}"
        if free_mb < least_mb:
            return (
                f"too little room in {what} ({folder}): {free_mb:,} MiB free, {least_mb:,} MiB "
                "wanted (LABPOOL_MIN_FREE_MB)"
            )
    return None
