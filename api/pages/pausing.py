"""The buttons that pause, resume and stop: plain forms on the pages of trials and experiments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flask import Blueprint, redirect
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.context import services
from api.problems import ApiProblem
from api.security.identity import me
from api.security.roles import allow
from api.visibility import require_change, visible_experiment, visible_trial
from db import commands
from db.errors import NotPossible
from db.models import Experiment, Trial, User
from db.reads.trials import TrialRow
from db.states import TrialState

pages = Blueprint("pausing_pages", __name__)

OfTrial = Callable[[Session, Trial, User], None]
OfExperiment = Callable[[Session, Experiment, User], int]


@dataclass(frozen=True, slots=True)
class Button:
    """A form with nothing but this button; `verb` ends its address. What cannot be taken back
    `asks` once more."""

    verb: str
    label: str
    hint: str
    asks: bool = False


_PAUSE = Button("pause", "Pause", "Saves at the end of the epoch and gives the slot back.")
_HOLD = Button("pause", "Pause", "It is held back until it is resumed.")
_RESUME = Button("resume", "Resume", "Goes on from its newest checkpoint.")
_LET_GO = Button("resume", "Resume", "It runs when its turn comes.")
_GO_ON = Button("resume", "Do not pause", "Goes on as if nothing had been asked.")
_KEEP_BACK = Button("pause", "Pause", "Its sweep's search leaves it alone until it is resumed.")
_WAIT_ON = Button("resume", "Resume", "Its sweep's search decides whether it goes on.")
_TRAIN_ON = Button("resume", "Do not stop", "Goes on as if nothing had been asked.")
_STOP = Button("stop", "Stop and keep", "Ends with this epoch; what there is becomes its result.")


def buttons_of(trial: TrialRow) -> list[Button]:
    """What can be asked of a trial now, beside cancelling it."""
    match trial.state:
        case TrialState.QUEUED:
            first = [_TRAIN_ON] if trial.wish == "stop" else []
            return [*first, _LET_GO if trial.held else _HOLD]
        case TrialState.PAUSED if trial.at_rung:
            return [_WAIT_ON if trial.held else _KEEP_BACK, _STOP]
        case TrialState.PAUSED:
            return [_RESUME, _STOP]
        case TrialState.RUNNING if trial.kind == "train" and not trial.cancel_requested:
            asked = {"pause": [_GO_ON, _STOP], "stop": [_TRAIN_ON, _PAUSE]}
            return asked.get(trial.wish or "", [_PAUSE, _STOP])
        case _:
            return []


def buttons_of_all(trials: Iterable[TrialRow], search_halt: str | None = None) -> list[Button]:
    """What can be asked of an experiment now: whatever applies to any of its trials.

    A search that is paused can be resumed also when all its trials so far have ended.
    """
    verbs = {button.verb for trial in trials for button in buttons_of(trial)}
    if search_halt == "paused":
        verbs.add("resume")
    every = (
        Button("pause", "Pause all", "Saves at the end of each epoch and gives the slots back."),
        Button("resume", "Resume all", "All go on: paused, held back, or asked to pause or stop."),
        Button(
            "stop", "Stop all and keep", "Results of what has begun; the rest never runs.", True
        ),
    )
    return [button for button in every if button.verb in verbs]


@pages.post("/trials/<row:trial_id>/pause")
@allow("member")
def pause_the_trial(trial_id: int) -> BaseResponse:
    return _of_trial(trial_id, commands.pause_trial)


@pages.post("/trials/<row:trial_id>/resume")
@allow("member")
def resume_the_trial(trial_id: int) -> BaseResponse:
    return _of_trial(trial_id, commands.resume_trial)


@pages.post("/trials/<row:trial_id>/stop")
@allow("member")
def stop_the_trial(trial_id: int) -> BaseResponse:
    return _of_trial(trial_id, commands.stop_trial)


@pages.post("/experiments/<row:experiment_id>/pause")
@allow("member")
def pause_the_experiment(experiment_id: int) -> BaseResponse:
    return _of_experiment(experiment_id, commands.pause_experiment)


@pages.post("/experiments/<row:experiment_id>/resume")
@allow("member")
def resume_the_experiment(experiment_id: int) -> BaseResponse:
    return _of_experiment(experiment_id, commands.resume_experiment)


@pages.post("/experiments/<row:experiment_id>/stop")
@allow("member")
def stop_the_experiment(experiment_id: int) -> BaseResponse:
    return _of_experiment(experiment_id, commands.stop_experiment)


def _of_trial(trial_id: int, command: OfTrial) -> BaseResponse:
    def work(session: Session) -> None:
        row = visible_trial(session, trial_id)
        require_change(me(), row.owner_id, "trial")
        user = session.get_one(User, me().user_id)
        command(session, session.get_one(Trial, row.id), user)

    try:
        services().database.run(work)
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    services().bell.ring()
    return redirect(f"/trials/{trial_id}", code=303)


def _of_experiment(experiment_id: int, command: OfExperiment) -> BaseResponse:
    def work(session: Session) -> None:
        row = visible_experiment(session, experiment_id)
        require_change(me(), row.owner_id, "experiment")
        user = session.get_one(User, me().user_id)
        command(session, session.get_one(Experiment, row.id), user)

    services().database.run(work)
    services().bell.ring()
    return redirect(f"/experiments/{experiment_id}", code=303)
