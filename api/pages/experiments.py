"""One experiment with its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import Blueprint, Response, redirect, request
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.charts.colours import look_of
from api.context import services
from api.pages.commands import Command, submit_command
from api.pages.curves import (
    MOST_OVERLAID,
    ChartSet,
    chosen_metric,
    drawn_by_browser,
    overlaid_curves,
)
from api.pages.eta import remaining_s
from api.pages.filters import pretty_yaml
from api.pages.frame import page
from api.pages.overview import overview_of
from api.pages.pausing import buttons_of_all
from api.pages.points import point_table
from api.pages.sweep import sweep_panels
from api.pages.timed_sweep import is_of_benchmarks, timed_sweep
from api.pages.trial_table import trial_table
from api.security.identity import me
from api.security.roles import allow
from api.speed_ups import speed_ups_of
from api.sweeps.view import view_of
from api.visibility import may_change, require_change, shown_trials, visible_experiment
from db.commands import cancel_experiment
from db.fairness import Rules
from db.models import Experiment, Trial, User
from db.reads.curve_sets import curves_of_many, metric_names
from db.reads.experiments import ExperimentRow
from db.reads.listing import Wanted
from db.reads.trials import TrialRow, trials_of_experiment
from db.states import TrialState
from db.waiting import Waiting

pages = Blueprint("experiment_pages", __name__)

# More than the largest sweep, and a retry of each of its trials.
_MOST_TRIALS = 5000


@pages.get("/experiments/<row:experiment_id>")
@allow("member")
def show_experiment(experiment_id: int) -> Response:
    with services().database.snapshot() as session:
        experiment = visible_experiment(session, experiment_id)
        wanted = Wanted(experiment_id=experiment_id)
        trials = shown_trials(session, trials_of_experiment(session, wanted, None, _MOST_TRIALS))
        table = trial_table(session, trials)
        waiting = _reasons(session, table.rows)
        curves = _curves(session, table.rows)
        view = view_of(session, experiment.id) if experiment.kind == "sweep" else None
    return page(
        "experiment.html",
        section="Experiments",
        title=f"Experiment {experiment.id}",
        topics=[f"experiment:{experiment.id}"],
        finished=experiment.finished,
        experiment=experiment,
        overview=overview_of(trials, services().catalog),
        speed_ups=speed_ups_of(trials),
        points=point_table(experiment.spec, trials),
        of_benchmarks=is_of_benchmarks(experiment.spec),
        timed=timed_sweep(experiment.spec, trials),
        table=table,
        looks={row.id: look_of(row.id) for row in table.rows},
        remaining={row.id: remaining_s(row) for row in table.rows},
        waiting=waiting,
        curves=curves,
        sweep=sweep_panels(view) if view else None,
        may_change=may_change(me(), experiment.owner_id),
        buttons=buttons_of_all(trials, experiment.search_halt),
        commands=_commands(experiment),
        spec_text=pretty_yaml(experiment.spec),
        permalink=f"{request.host_url}experiments/{experiment.id}",
    )


@pages.post("/experiments/<row:experiment_id>/cancel")
@allow("member")
def cancel_the_experiment(experiment_id: int) -> BaseResponse:
    def work(session: Session) -> None:
        row = visible_experiment(session, experiment_id)
        require_change(me(), row.owner_id, "experiment")
        experiment = session.get_one(Experiment, row.id)
        cancel_experiment(session, experiment, session.get_one(User, me().user_id))

    services().database.run(work)
    services().bell.ring()
    return redirect(f"/experiments/{experiment_id}", code=303)


def _curves(session: Session, rows: Sequence[TrialRow]) -> ChartSet | None:
    """The chosen metric of the first trials of the table that have begun."""
    begun = [row for row in rows if row.fence]
    drawn = begun[:MOST_OVERLAID]
    ids = [row.id for row in drawn]
    metrics = metric_names(session, ids)
    metric = chosen_metric(metrics)
    if metric is None:
        return None
    found = {} if drawn_by_browser() else curves_of_many(session, ids, [metric])
    curves = {trial_id: of_trial[metric] for trial_id, of_trial in found.items()}
    note = ""
    if len(begun) > len(drawn):
        note = f"The first {len(drawn)} trials of the table below, in its order."
    return overlaid_curves(drawn, curves, metric, metrics, note)


def _commands(experiment: ExperimentRow) -> list[Command]:
    first = (
        Command("show", "Show it", f"labpool show {experiment.id}")
        if experiment.finished
        else Command("watch", "Watch it", f"labpool watch {experiment.id}")
    )
    return [first, Command("again", "Submit the same again", submit_command(experiment.spec))]


def _reasons(session: Session, rows: Sequence[TrialRow]) -> Mapping[int, str]:
    queued = [row.id for row in rows if row.state in (TrialState.QUEUED, TrialState.PAUSED)]
    if not queued:
        return {}
    pool = Waiting(session, queued, Rules.of(services().settings))
    trials = session.scalars(select(Trial).where(Trial.id.in_(queued))).all()
    found = ((trial.id, pool.why(trial)) for trial in trials)
    return {row_id: why for row_id, why in found if why}
