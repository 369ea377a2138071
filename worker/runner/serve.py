"""The runner's life: say hello, import, run trial after trial."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from worker import protocol
from worker.protocol import FromRunner, Predict, TrialToRun
from worker.runner import environment
from worker.runner.answers import attempt
from worker.runner.connection import Connection
from worker.runner.loading import is_program
from worker.runner.reasons import classify
from worker.runner.report import Report


def serve(connection: Connection, threads: int, light: bool) -> None:
    """Serve until the slot says bye. `light` puts heavy imports off until a trial needs them."""
    connection.send(protocol.Hello(pid=os.getpid(), versions=environment.versions()))
    if not light:
        from worker.runner import backend

        backend.prepare(threads)
    connection.send(protocol.Ready())
    while not isinstance(message := connection.next(), protocol.Bye):
        if isinstance(message, protocol.Predict):
            connection.send(_predict(message, threads))
            continue
        for trial in _not_together(connection, message, threads):
            connection.send(_run(connection, trial, threads))
            connection.forget((trial.trial, trial.fence))
        connection.send(protocol.Idle())


def _not_together(connection: Connection, run: protocol.Run, threads: int) -> Sequence[TrialToRun]:
    """Train together what is to be; the trials that are left to be run alone."""
    if not run.together:
        return run.trials
    from worker.runner.fused.training import train_together
    from worker.runner.kept import of_this_process

    return train_together(connection, run.trials, threads, of_this_process())


def _predict(question: Predict, threads: int) -> FromRunner:
    """Answer one question, or say why not."""
    try:
        from worker.runner.predicting import predict

        return predict(question, threads)
    except Exception as error:  # noqa: BLE001 - whatever catalog code raises is an answer
        traceback.print_exc()
        kind, reason = classify(error)
        return protocol.Unpredicted(
            prediction=question.prediction,
            fence=question.fence,
            reason_kind=kind,
            reason=reason,
        )


def _run(connection: Connection, trial: TrialToRun, threads: int) -> FromRunner:
    """Do one trial; its answer."""
    report = Report(connection, trial.trial, trial.fence, trial.halts_at)

    def do() -> FromRunner:
        report.stop_if_cancelled()
        return _do(connection, trial, report, threads)

    return attempt(trial, do)


def _do(connection: Connection, trial: TrialToRun, report: Report, threads: int) -> FromRunner:
    if trial.kind == "train" and is_program(trial.code):
        from worker.runner.program_training import train_program

        return train_program(trial, report, threads)
    if trial.kind == "train":
        from worker.runner.kept import of_this_process
        from worker.runner.training import train

        return train(trial, report, threads, of_this_process())
    if trial.spec["device"] == "gpu" and "tensorflow" in sys.modules:
        from worker.runner.apart import run_apart

        return run_apart(connection, trial, threads)
    from worker.runner.benchmark import benchmark

    return benchmark(trial, report, threads)
