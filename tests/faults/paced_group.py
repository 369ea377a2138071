"""Paced runs in step, as a runner trains a group: each is answered when it ends.

Now and then it says instead that they cannot be trained together, and goes on with the first.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.paced_run import Ledger, PacedRun, Talk
from worker import protocol
from worker.protocol import TrialToRun

# One group in so many comes apart; told by its first member, which is then the one that goes on.
APART_IN = 4


def run_together(talk: Talk, ledger: Ledger, trials: Sequence[TrialToRun]) -> Sequence[TrialToRun]:
    """Run a group to its end; the trial that is left to be run alone, if it comes apart."""
    first = trials[0]
    epochs = {trial.resume.epoch if trial.resume else 0 for trial in trials}
    ledger.note("group", first, members=[trial.trial for trial in trials], epochs=sorted(epochs))
    if int(str(first.spec["seed"])) % APART_IN == 0:
        talk.say(
            protocol.Apart(
                trial=first.trial, fence=first.fence, reason="a paced whim", for_good=False
            )
        )
        return [first]
    ledger.take_gpu(first)
    runs = []
    for trial in trials:
        ledger.note_begin(trial, len(trials))
        run = PacedRun(talk, ledger, trial)
        run.together = len(trials)
        run.begin()
        runs.append(run)
    _lead(talk, ledger, runs)
    ledger.leave_gpu()
    return ()


def _lead(talk: Talk, ledger: Ledger, runs: list[PacedRun]) -> None:
    while runs:
        talk.listen(runs[0].pace_s)
        broken = ledger.gpu_fails()
        for run in list(runs):
            how = run.fail_for_the_gpu() if broken else run.one_step()
            if how is not None:
                runs.remove(run)
                ledger.note("end", run.trial, how=how, epoch=run.epoch)
