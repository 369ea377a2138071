"""How a trial ends, as a message: whatever is raised is an answer."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from worker import protocol
from worker.protocol import TrialToRun
from worker.runner import logs
from worker.runner.reasons import classify
from worker.runner.report import TrialCancelled, TrialPaused

_T = TypeVar("_T")
Ending = protocol.Cancelled | protocol.Paused | protocol.Failed


def attempt(trial: TrialToRun, do: Callable[[], _T]) -> _T | Ending:
    """What `do` gives, or how it ended the trial; its output goes to the trial's log."""
    with logs.output_to(Path(trial.log)):
        try:
            return do()
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
