"""Why a trial failed, in the words of the protocol."""

from __future__ import annotations

import errno
from typing import Final

from labpool.errors import LabpoolError
from labpool.sdk import Unsuitable
from labpool.sent import NotTaken
from worker.protocol import clean_text
from worker.wire_types import ReasonKind


class Diverged(LabpoolError):
    """Training left the numbers."""


class GpuTrouble(LabpoolError):
    """The GPU cannot do this."""

    permanent = False


class NotPrepared(LabpoolError):
    """This machine lacks what a GPU benchmark needs."""

    permanent = False


class WrongResult(LabpoolError):
    """The kernel computes something else than its reference."""


class CompileError(LabpoolError):
    """The kernel does not compile."""


class EntryBroken(LabpoolError):
    """The catalog entry cannot be used."""


class DigestMismatch(LabpoolError):
    """The catalog entry is another one than the trial was made from."""


class CheckpointBroken(LabpoolError):
    """The checkpoint cannot be gone on from."""


class InputUnfit(LabpoolError):
    """The input does not fit."""


LONGEST: Final = 600
"""Characters of a reason that is an exception's own text; the log holds all of it."""
_OURS: Final[tuple[tuple[type[LabpoolError], ReasonKind], ...]] = (
    (Unsuitable, "user_error"),
    (InputUnfit, "user_error"),
    (NotTaken, "user_error"),
    (WrongResult, "user_error"),
    (CompileError, "user_error"),
    (Diverged, "diverged"),
    (NotPrepared, "not_prepared"),
    (GpuTrouble, "gpu_fault"),
)
# By name: this module is imported where neither library is.
_OUT_OF_MEMORY: Final = {"MemoryError", "ResourceExhaustedError"}
DISK_FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_GPU_WORDS: Final = ("CUDA", "cuda", "cudnn", "cuDNN", "cublas", "GPU")


def classify(error: BaseException) -> tuple[ReasonKind, str]:
    """The kind of failure and one sentence for the user."""
    for kind_of_error, kind in _OURS:
        if isinstance(error, kind_of_error):
            return kind, clean_text(str(error))
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return "disk_full", clean_text(f"{type(error).__name__}: {error}", LONGEST)
    names = {base.__name__ for base in type(error).__mro__}
    modules = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    # TensorFlow's messages run over many lines, and the one that says it may be the last.
    text = clean_text(f"{type(error).__name__}: {' '.join(str(error).split())}", LONGEST)
    if names & _OUT_OF_MEMORY:
        return "out_of_memory", text
    if "pycuda" in modules:
        return "gpu_fault", text
    if "tensorflow" in modules and any(word in str(error) for word in _GPU_WORDS):
        return "gpu_fault", text
    if isinstance(error, LabpoolError):
        return "internal", clean_text(str(error))
    return "internal", text
