"""GPU benchmarks in a process of their own.

TensorFlow and pycuda bring CUDA libraries of different versions, and TensorFlow holds on to the
GPU's memory, so a kernel is never timed beside it. And after a CUDA error only the process that had
it is lost.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from worker import protocol
from worker.protocol import FromRunner, LineBuffer, TrialToRun, parse_from_runner
from worker.runner.connection import Connection

READ_BYTES = 65536
POLL_S = 0.1


def run_apart(connection: Connection, trial: TrialToRun, threads: int) -> FromRunner:
    """Run one trial in a fresh runner below this one, pass its messages on, return its answer."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "worker.runner", "--light"),
                *("--fd", str(theirs.fileno()), "--parent-pid", str(os.getpid())),
                *("--threads", str(threads)),
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        try:
            ours.sendall(protocol.encode(protocol.Run(trials=(trial,))))
            answer = _relay(connection, trial, ours)
        except OSError:
            answer = None
        finally:
            process.kill()
            status = process.wait()
    return answer or protocol.Failed(
        trial=trial.trial,
        fence=trial.fence,
        reason_kind="gpu_fault",
        reason=f"the benchmark's process ended by itself with status {status}",
    )


def _relay(connection: Connection, trial: TrialToRun, below: socket.socket) -> FromRunner | None:
    """Pass messages on until the trial is answered; None when the process below ends first."""
    buffer = LineBuffer()
    below.settimeout(POLL_S)
    told = False
    while True:
        if not told and connection.is_cancelled((trial.trial, trial.fence)):
            below.sendall(protocol.encode(protocol.Cancel(trial=trial.trial, fence=trial.fence)))
            told = True
        try:
            data = below.recv(READ_BYTES)
        except TimeoutError:
            continue
        if not data:
            return None
        for line in buffer.feed(data):
            message = parse_from_runner(line)
            if isinstance(message, protocol.Result | protocol.Failed | protocol.Cancelled):
                return message
            if not isinstance(message, protocol.Hello | protocol.Ready | protocol.Idle):
                connection.send(message)
