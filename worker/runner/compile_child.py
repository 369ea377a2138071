"""The throw-away process of a compile: takes its limits first, then reads the source."""

from __future__ import annotations

import base64
import ctypes
import json
import resource
import sys

MEMORY_BYTES = 2 * 1024**3
CPU_SECONDS = 20
OUTPUT_BYTES = 32 * 1024**2
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000


def main() -> None:
    """Compile what stdin says; answer on stdout in JSON."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, OUTPUT_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    apart = ctypes.CDLL(None).unshare(NEW_USER | NEW_NETWORK) == 0
    from worker.runner import nvrtc
    from worker.runner.reasons import CompileError, GpuTrouble

    given = json.load(sys.stdin)
    answer: dict[str, object] = {"no_network": apart}
    try:
        answer["compiler"] = f"NVRTC {nvrtc.version()}"
        compiled = nvrtc.compile_kernel(**given)
        answer |= {"cubin": base64.b64encode(compiled.cubin).decode(), "log": compiled.log}
    except CompileError as error:
        answer["mistake"] = str(error)
    except GpuTrouble as error:
        answer["trouble"] = str(error)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
