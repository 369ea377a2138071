"""The runner's life: say hello, import, run trial after trial."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from worker import protocol
from worker.protocol import FromRunner, Predict, TrialToRun
from worker.runner import environment, logs
from worker.runner.connection import Connection
from worker.runner.loading import is_program
from worker.runner.reasons import classify
from worker.runner.report import Report, TrialCancelled, TrialPaused


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
        for trial in message.trials:
            connection.send(_run(connection, trial, threads))
            connection.forget((trial.trial, trial.fence))
        connection.send(protocol.Idle())


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
    with logs.output_to(Path(trial.log)):
        try:
            report.stop_if_cancelled()
            return _do(connection, trial, report, threads)
        except TrialCancelled:
            return protocol.Cancelled(trial=trial.trial, fence=trial.fence)
        except TrialPaused as paused:
            return protocol.Paused(trial=trial.trial, fence=trial.fence, epoch=paused.epoch)
        except Exception as error:  # noqa: BLE001 - whatever catalog code raises is an answer
            traceback.print_exc()
            kind, reason = classify(error)
            sys.stderr.write(f"failed ({kind}): {reason}\n")
            return protocol.Failed(
                trial=trial.trial, fence=trial.fence, reason_kind=kind, reason=reason
            )


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
