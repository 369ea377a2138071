"""A runner without TensorFlow whose work is to wait and to hash: quick, and the same every time.

``--ledger FILE`` comes before what a slot adds.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from tests.faults.paced_group import run_together
from tests.faults.paced_run import Ended, Ledger, PacedRun, Talk
from worker import protocol
from worker.protocol import TrialToRun
from worker.runner import lifeline


def run_alone(talk: Talk, ledger: Ledger, trial: TrialToRun) -> None:
    """One trial, from its claim to its end."""
    ledger.take_gpu(trial)
    ledger.note_begin(trial)
    run = PacedRun(talk, ledger, trial)
    how = run.run()
    ledger.leave_gpu()
    ledger.note("end", trial, how=how, epoch=run.epoch)


def serve(talk: Talk, ledger: Ledger) -> None:
    """Take run after run. Raises Ended."""
    talk.say(protocol.Hello(pid=os.getpid(), versions={}))
    talk.say(protocol.Ready())
    while True:
        talk.listen(None)
        while talk.runs:
            asked = talk.runs.pop(0)
            alone = run_together(talk, ledger, asked.trials) if asked.together else asked.trials
            for trial in alone:
                run_alone(talk, ledger, trial)
            talk.say(protocol.Idle())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ledger", type=Path, required=True)
    for name in ("--fd", "--parent-pid", "--threads"):
        parser.add_argument(name, type=int, required=True)
    options = parser.parse_args()
    lifeline.hold_to(options.parent_pid)
    with suppress(Ended):
        serve(Talk(socket.socket(fileno=options.fd)), Ledger(options.ledger))
    sys.exit(0)


if __name__ == "__main__":
    main()
