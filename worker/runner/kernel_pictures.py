"""What a kernel makes of pictures: run on the trial's device, checked, kept as PNG files."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import DTypeName, Shown
from worker.runner import judging, png
from worker.runner.pictures import write_file
from worker.runner.reasons import DISK_FULL, EntryBroken
from worker.runner.report import Report

MOST_PICTURES = 16
MOST_SIDE = 1024
"""Pixels of a picture's longer side."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def keep(
    kernel: Any,
    compute: judging.Compute,
    dtype: DTypeName,
    tolerance: float,
    folder: Path,
    report: Report,
) -> float:
    """Draw what the kernel's reference wants shown, if it wants anything.

    Files are named `filtered-<name>.png`. Returns the largest relative error, nought where there is
    nothing to draw. Raises WrongResult, EntryBroken, TrialCancelled, OSError. A disk that is full
    costs the picture, not the result.
    """
    worst = 0.0
    for shown in wanted(kernel, dtype):
        report.stop_if_cancelled()
        output = compute(shown.sizes, shown.inputs)
        expected = kernel.expected(shown.inputs)
        error = judging.error_of(output, expected, tolerance, f"the picture {shown.name!r}")
        worst = max(worst, error)
        name = f"filtered-{shown.name}.png"
        try:
            written = write_file(folder, name, png.encode(in_grey(output)))
        except OSError as trouble:
            if trouble.errno not in DISK_FULL:
                raise
            sys.stderr.write(f"no {name}: {trouble}\n")
            continue
        report.artifact(written, name, "image/png")
    return worst


def wanted(kernel: Any, dtype: DTypeName) -> Sequence[Shown]:
    """The runs that a kernel wants shown; none of most kernels. Raises EntryBroken."""
    offered = getattr(kernel, "pictures", None)
    found: list[Shown] = [] if offered is None else [*offered(dtype)]
    names = [shown.name for shown in found]
    if len(found) > MOST_PICTURES or len({*names}) < len(names):
        raise EntryBroken(f"pictures gives at most {MOST_PICTURES}, each with a name of its own.")
    for shown in found:
        if not _NAME.fullmatch(shown.name):
            raise EntryBroken(
                f"pictures: {shown.name!r} is no name of small letters, digits and _."
            )
        shape = kernel.output_shape(shown.sizes)
        if len(shape) != 2 or max(shape) > MOST_SIDE:
            raise EntryBroken(
                f"pictures: the output of {shown.name!r} has the shape {list(shape)}; a picture is "
                f"[height, width] with at most {MOST_SIDE} on a side."
            )
    return found


def in_grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    """`values` [height, width] as grey [height, width, 1]: what is outside of 0..1 is cut off."""
    grey: NDArray[np.uint8] = np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)
    return grey[:, :, None]
