"""What training trials together saves: an epoch of one trial alone over one of a group, a member.

The networks are the catalog's `mlp` (64, 64) and a small convolutional one on 8 x 8 digits, batch
32, Adam, one thread; an epoch is the training split and the validation split, as a trial has it.
Alone is labpool's own loop. One warm process for each network trains them in turn, so that a busy
machine slows all of them; the figures are medians of the rounds' ratios.
"""

from __future__ import annotations

import sys
from statistics import median

from tests.bench.loops import Trainer

ROUNDS, ROUNDS_QUICK = 9, 1
MEMBERS = (1, 4, 8, 24)
MEMBERS_QUICK = (1, 4)
NETWORKS = ("mlp", "cnn")

BOUNDS = {f"fused_{network}_4": "> 0" for network in NETWORKS}
FULL_BOUNDS = {"fused_mlp_24": ">= 4", "fused_cnn_24": ">= 2"}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Ratios of time; above 1 the group is faster."""
    found: dict[str, float | int | bool | None] = {}
    for network in NETWORKS:
        found |= _compared(network, quick)
    return found


def _compared(network: str, quick: bool) -> dict[str, float | int | bool | None]:
    sizes = MEMBERS_QUICK if quick else MEMBERS
    alone: list[float] = []
    together: dict[int, list[float]] = {size: [] for size in sizes}
    named = ",".join(str(size) for size in sizes)
    with Trainer([sys.executable, "-m", "tests.bench.fused_epochs", network, named]) as process:
        for _ in range(ROUNDS_QUICK if quick else ROUNDS):
            alone.append(process.epoch("alone"))
            for size in sizes:
                together[size].append(process.epoch(str(size)) / size)
    each = {size: round(1e3 * median(seconds), 2) for size, seconds in together.items()}
    print(f"  {network}: ms an epoch: alone {1e3 * median(alone):.2f}, a member {each}")
    found: dict[str, float | int | bool | None] = {
        f"fused_{network}_alone_ms": round(1e3 * median(alone), 2)
    }
    for size, seconds in together.items():
        ratios = [one / member for one, member in zip(alone, seconds, strict=True)]
        name = f"fused_{network}_{size}"
        found[name] = round(median(ratios), 2)
        found |= {f"{name}_least": round(min(ratios), 2), f"{name}_most": round(max(ratios), 2)}
    return found
