"""`python -m worker.runner --fd N --parent-pid P --threads T`, started by a slot."""

from __future__ import annotations

import argparse
import os
import socket

from worker.runner import lifeline


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m worker.runner")
    parser.add_argument("--fd", type=int, required=True, help="socket to the slot")
    parser.add_argument("--parent-pid", type=int, required=True, help="process of the slot")
    parser.add_argument("--threads", type=int, default=1, help="threads for one operation")
    parser.add_argument(
        "--light", action="store_true", help="import nothing heavy before a trial needs it"
    )
    arguments = parser.parse_args()
    lifeline.hold_to(arguments.parent_pid)
    # The linear algebra behind NumPy reads these once, when it is loaded.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)

    from worker.runner.connection import Connection
    from worker.runner.serve import serve

    connection = Connection(socket.socket(fileno=arguments.fd))
    light = arguments.light or os.environ.get("LABPOOL_RUNNER_LAZY") == "1"
    serve(connection, arguments.threads, light)


if __name__ == "__main__":
    main()
