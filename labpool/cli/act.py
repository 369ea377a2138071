"""The commands that change something: cancel, pause, resume, stop and retry."""

from __future__ import annotations

import click

from labpool.cli.options import connect, json_option, url_option
from labpool.cli.output import pairs, print_json
from labpool.client.records import Experiment, TrialDetail


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
        _print(client.cancel_trial(number) if is_trial else client.cancel(number), as_json)


@click.command("pause")
@click.argument("number", type=int)
@click.option("--trial", "is_trial", is_flag=True, help="NUMBER is a trial's, not an experiment's.")
@url_option
@json_option
def pause(number: int, is_trial: bool, url: str | None, as_json: bool) -> None:
    """Pause experiment NUMBER, or one trial.

    What waits is held back; what runs saves its state at the end of its epoch and frees its slot.
    """
    with connect(url) as client:
        _print(client.pause_trial(number) if is_trial else client.pause(number), as_json)


@click.command("resume")
@click.argument("number", type=int)
@click.option("--trial", "is_trial", is_flag=True, help="NUMBER is a trial's, not an experiment's.")
@url_option
@json_option
def resume(number: int, is_trial: bool, url: str | None, as_json: bool) -> None:
    """Let experiment NUMBER, or one trial, go on after a pause.

    It ends with the same weights as if it had never been paused. What was only asked to pause or to
    stop goes on as it was.
    """
    with connect(url) as client:
        _print(client.resume_trial(number) if is_trial else client.resume(number), as_json)


@click.command("stop")
@click.argument("number", type=int)
@click.option("--trial", "is_trial", is_flag=True, help="NUMBER is a trial's, not an experiment's.")
@url_option
@json_option
def stop(number: int, is_trial: bool, url: str | None, as_json: bool) -> None:
    """Stop experiment NUMBER, or one trial, and keep the results so far.

    What runs ends with its epoch and succeeds; of an experiment, what never ran is cancelled.
    """
    with connect(url) as client:
        _print(client.stop_trial(number) if is_trial else client.stop(number), as_json)


def _print(changed: Experiment | TrialDetail, as_json: bool) -> None:
    """What became of it."""
    if as_json:
        print_json(changed.model_dump(mode="json"))
    elif isinstance(changed, Experiment):
        print(f"Experiment {changed.id}: {pairs(changed.states)}")
    else:
        remark = changed.pending or ("held back" if changed.held else "")
        print(f"Trial {changed.id}: {changed.state}" + (f", {remark}" if remark else ""))


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
