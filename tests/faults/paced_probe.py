"""Tries a paced worker's device, as `worker.runner.probe` does a GPU; fails while it is broken."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.faults.failing_gpus import fault_of
from worker.runner import lifeline


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--parent-pid", type=int, required=True)
    # Given to every probe; this one has no use for them.
    parser.add_argument("--fd", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--by")
    options = parser.parse_args()
    lifeline.hold_to(options.parent_pid)
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if fault_of(options.ledger.parent, gpu).exists():
        sys.exit(f"{gpu} does not answer.")


if __name__ == "__main__":
    main()
