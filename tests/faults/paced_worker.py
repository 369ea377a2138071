"""The real worker with devices of its own: ``--gpus A,B`` are slots on devices that nobody has,
for paced runs; ``--processor N`` slots run real trials. ``--ledger`` is the paced runners'.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from worker import devices, process
from worker.devices import Device

RUNNER = Path(__file__).with_name("paced_runner.py")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gpus", default="")
    parser.add_argument("--processor", type=int, default=0)
    parser.add_argument("--ledger", type=Path, required=True)
    options = parser.parse_args()
    uuids = [uuid for uuid in options.gpus.split(",") if uuid]
    made = (
        *(Device("gpu", "a paced device", 1, ("train",), uuid, 1024) for uuid in uuids),
        *(Device("cpu", "a processor", 1, ("train",)) for _ in range(options.processor)),
    )
    # Before the pool is imported, which takes both over.
    devices.host_devices = lambda *_arguments, **_options: made
    if uuids:
        command: tuple[str, ...] = (sys.executable, str(RUNNER), "--ledger", str(options.ledger))
        process.COMMAND = command  # type: ignore[assignment]
    from worker.__main__ import main as run

    run([])


if __name__ == "__main__":
    main()
