"""How a slot on a part of a GPU is called, in the pool's table as for people."""

from __future__ import annotations

import re

# The environment variable that bounds a share's runner, in MiB.
RUNNER_GPU_MEMORY = "LABPOOL_RUNNER_GPU_MEMORY_MB"
_SUFFIX = re.compile(r", share [1-9]\d* of [1-9]\d*$")


def share_name(gpu: str, share: int, shares: int) -> str:
    """The name of a slot that has one of the ``shares`` of a GPU, ``share`` counted from 1."""
    return f"{gpu}, share {share} of {shares}" if shares > 1 else gpu


def is_share(slot_name: str) -> bool:
    """Whether the slot of this name has a part of its GPU only."""
    return _SUFFIX.search(slot_name) is not None


def gpu_of_share(slot_name: str) -> str:
    """The name of a slot's device as a whole."""
    return _SUFFIX.sub("", slot_name)
