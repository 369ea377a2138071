"""The real worker with devices of its own: ``--gpus A,B`` are slots on devices that nobody has,
for paced runs; ``--processor N`` slots run real trials. ``--ledger`` is the paced runners'.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from db import retries
from worker import devices, probe, process
from worker.devices import Device

RUNNER = Path(__file__).with_name("paced_runner.py")
PROBE = Path(__file__).with_name("paced_probe.py")
# As short as the leases: further tries after a GPU's fault are to be seen within minutes.
AFTER_GPU_FAULT_S = 0.5


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
        tried_by = (sys.executable, str(PROBE), "--ledger", str(options.ledger))
        probe.COMMAND = tried_by  # type: ignore[assignment]
    rules = retries.AFTER_FAILURE
    rules["gpu_fault"] = replace(rules["gpu_fault"], delay_s=AFTER_GPU_FAULT_S)
    from worker.__main__ import main as run

    run([])


if __name__ == "__main__":
    main()
