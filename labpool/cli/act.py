"""The commands that change something: cancel, pause, resume, stop and retry."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from labpool.cli.exit_codes import ExitCode
from labpool.cli.options import NUMBER, connect, json_option, url_option
from labpool.cli.output import print_json, say
from labpool.client import Client
from labpool.client.records import PENDING, Experiment, TrialDetail

ASKED = {
    "held": "held back",
    "pausing": PENDING["pause"],
    "stopping": PENDING["stop"],
}
NOTHING_FITS = "what runs is a benchmark, or is being cancelled"


def _changing(
    name: str,
    experiment: Callable[[Client, int], Experiment],
    trial: Callable[[Client, int], TrialDetail],
    help_text: str,
) -> click.Command:
    """A command that asks the same of an experiment or, with `--trial`, of one trial."""

    @click.command(name, help=help_text)
    @click.argument("number", type=NUMBER)
    @click.option(
        "--trial", "is_trial", is_flag=True, help="NUMBER is a trial's, not an experiment's."
    )
    @url_option
    @json_option
    def command(number: int, is_trial: bool, url: str | None, as_json: bool) -> None:
        with connect(url) as client:
            changed = trial(client, number) if is_trial else experiment(client, number)
        _print(changed, as_json)
        if isinstance(changed, Experiment) and changed.changed == 0:
            why = "all of its trials have ended" if changed.finished else NOTHING_FITS
            say(f"labpool: experiment {number}: there is nothing to {name}: {why}.")
            sys.exit(ExitCode.INVALID)

    return command


def _print(changed: Experiment | TrialDetail, as_json: bool) -> None:
    """What became of it."""
    if as_json:
        print_json(changed.model_dump(mode="json"))
    elif isinstance(changed, Experiment):
        shown = changed.shown_states.items()
        counts = ", ".join(f"{count} {ASKED.get(word, word)}" for word, count in shown)
        print(f"Experiment {changed.id}: {counts}")
    else:
        remark = changed.pending or ("held back" if changed.held else "")
        print(f"Trial {changed.id}: {changed.state}" + (f", {remark}" if remark else ""))


cancel = _changing(
    "cancel",
    lambda client, number: client.cancel(number),
    lambda client, number: client.cancel_trial(number),
    """Cancel experiment NUMBER, or one trial.

    What waits never runs; what runs is stopped and keeps its curves and checkpoints.
    """,
)
pause = _changing(
    "pause",
    lambda client, number: client.pause(number),
    lambda client, number: client.pause_trial(number),
    """Pause experiment NUMBER, or one trial.

    What waits is held back; what runs saves its state at the end of its epoch and frees its slot.
    """,
)
resume = _changing(
    "resume",
    lambda client, number: client.resume(number),
    lambda client, number: client.resume_trial(number),
    """Let experiment NUMBER, or one trial, go on after a pause.

    It ends with the same weights as if it had never been paused. What was only asked to pause or to
    stop goes on as it was.
    """,
)
stop = _changing(
    "stop",
    lambda client, number: client.stop(number),
    lambda client, number: client.stop_trial(number),
    """Stop experiment NUMBER, or one trial, and keep the results so far.

    What runs ends with its epoch and succeeds; of an experiment, what never ran is cancelled.
    """,
)


@click.command("extend")
@click.argument("sweep", type=NUMBER)
@click.option("--trials", type=click.IntRange(1, 100_000), required=True, help="How many more.")
@click.option("--key", help="Idempotency key: under the same key they are added once.")
@url_option
@json_option
def extend(sweep: int, trials: int, key: str | None, url: str | None, as_json: bool) -> None:
    """Let the search of experiment SWEEP make more trials, also after its end.

    They are those that it would have made had it been asked for so many at first.
    """
    with connect(url) as client:
        changed = client.add_trials(sweep, trials, key)
    if as_json:
        print_json(changed.model_dump(mode="json"))
    else:
        print(
            f"Experiment {sweep} comes to {trials} more trials; it has {changed.trial_count} now."
        )


@click.command("retry")
@click.argument("trial", type=NUMBER)
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
