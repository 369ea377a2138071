"""The commands that change something: cancel and retry."""

from __future__ import annotations

import click

from labpool.cli.options import connect, json_option, url_option
from labpool.cli.output import pairs, print_json


@click.command("cancel")
@click.argument("number", type=int)
@click.option("--trial", "is_trial", is_flag=True, help="NUMBER is a trial's, not an experiment's.")
@url_option
@json_option
def cancel(number: int, is_trial: bool, url: str | None, as_json: bool) -> None:
    """Cancel experiment NUMBER, or one trial.

    What waits never runs; what runs is stopped and keeps its curves and checkpoints.
    """
    with connect(url) as client:
        if is_trial:
            trial = client.cancel_trial(number)
            content, text = trial.model_dump(mode="json"), f"Trial {number}: {trial.state}"
        else:
            experiment = client.cancel(number)
            content = experiment.model_dump(mode="json")
            text = f"Experiment {number}: {pairs(experiment.states)}"
    if as_json:
        print_json(content)
    else:
        print(text)


@click.command("retry")
@click.argument("trial", type=int)
@url_option
@json_option
def retry(trial: int, url: str | None, as_json: bool) -> None:
    """Run an ended TRIAL again, as a new trial."""
    with connect(url) as client:
        made = client.retry(trial)
    if as_json:
        print_json({"trial": made, "retry_of": trial})
    else:
        print(f"Trial {made} runs trial {trial} again.")
