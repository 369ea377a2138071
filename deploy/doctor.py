"""`labpool doctor`: what is amiss on this machine, and the command that mends it.

    python -m deploy.doctor [--data-dir FOLDER] [--url URL] [--json]

Runs with any Python from 3.8 on and without anything installed: then it looks at Python, the
environment, the compiler and the disk only. Changes nothing. Exit status 1 when there is a problem.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from deploy.diagnosis.machine import (
    DEFAULT_DATA_DIR,
    check_compiler,
    check_data_folder,
    check_environment,
)
from labpool.diagnosis import Finding, check_python, print_report, problems


def main(arguments: list[str] | None = None) -> int:
    """Look at everything that can be looked at; the exit status."""
    parser = argparse.ArgumentParser(
        prog="labpool doctor", description="Say what is amiss, and the command that mends it."
    )
    parser.add_argument("--data-dir", help="Default: LABPOOL_DATA_DIR or ~/.labpool")
    parser.add_argument("--url", help="The service. Default: the one running on this machine.")
    parser.add_argument("--json", action="store_true", help="Print JSON on stdout.")
    given = parser.parse_args(arguments)
    if given.data_dir:
        os.environ["LABPOOL_DATA_DIR"] = str(Path(given.data_dir).absolute())
    findings = [check_python(), check_environment(), check_compiler()]
    if problems(findings[:2]):
        findings.append(
            check_data_folder(Path(os.environ.get("LABPOOL_DATA_DIR") or DEFAULT_DATA_DIR))
        )
    else:
        findings += _service_checks(given.url)
    try:
        print_report(findings, given.json)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has seen enough; nothing more is written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if problems(findings) else 0


def _service_checks(url: str | None) -> list[Finding]:
    # Needs what only a whole environment has.
    from deploy.diagnosis import service_checks

    return service_checks(url)


if __name__ == "__main__":
    sys.exit(main())
