"""`labpool submit`: a spec file, or standard input, to the service."""

from __future__ import annotations

import sys

import click

from labpool.cli.options import connect, json_option, url_option
from labpool.cli.output import print_json, say
from labpool.cli.watch import watch_experiments


@click.command("submit")
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--watch", "watching", is_flag=True, help="Stay and show progress to the end.")
@click.option("--key", help="Idempotency key: the same key and spec are stored once.")
@url_option
@json_option
def submit(file: str, watching: bool, key: str | None, url: str | None, as_json: bool) -> None:
    """Submit a spec FILE (YAML or JSON; - reads standard input)."""
    with connect(url) as client:
        # The line break makes it text, whatever it holds.
        spec = sys.stdin.read() + "\n" if file == "-" else file
        submission = client.submit(spec, key)
        experiment = submission.experiment
        if as_json:
            print_json(
                {
                    "experiment": submission.id,
                    "trials": submission.trial_ids,
                    "page": client.page(experiment.page_url),
                }
            )
        else:
            count = len(submission.trial_ids)
            trials = f"{count} trials" if count != 1 else f"trial {submission.trial_ids[0]}"
            say(f"Experiment {submission.id} with {trials}: {client.page(experiment.page_url)}")
        if watching:
            watch_experiments(client, [submission.id])
