"""`labpool submit`: a spec file, or standard input, to the service."""

from __future__ import annotations

import sys
from typing import Any

import click

from labpool.cli.forecast import print_forecast
from labpool.cli.options import connect, json_option, url_option
from labpool.cli.output import number, print_json, printable, say
from labpool.cli.watch import watch_experiments
from labpool.client.records import Submission
from labpool.measures import HEADLINES

SHOWN = 10


@click.command("submit")
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Store nothing; say what it would cost.")
@click.option("--watch", "watching", is_flag=True, help="Stay and show progress to the end.")
@click.option("--key", help="Idempotency key: the same key and spec are stored once.")
@click.option("--again", is_flag=True, help="Do not ask when there is a result of it already.")
@click.option("--reuse", is_flag=True, help="Store nothing when every trial has a result already.")
@url_option
@json_option
def submit(
    file: str,
    dry_run: bool,
    watching: bool,
    key: str | None,
    again: bool,
    reuse: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """Submit a spec FILE (YAML or JSON; - reads standard input).

    On a terminal it asks before it runs what has a result already; a script runs it, and is told.
    """
    if again and reuse:
        raise click.UsageError("--again and --reuse exclude each other.")
    if dry_run and (watching or key or again or reuse):
        raise click.UsageError("--dry-run stores nothing: only --url and --json go with it.")
    with connect(url) as client:
        # The line break makes it text, whatever it holds.
        spec = sys.stdin.read() + "\n" if file == "-" else file
        if dry_run:
            found = client.forecast(spec)
            print_json(found) if as_json else print_forecast(found)
            return
        if not (again or reuse or as_json or file == "-") and _on_terminal():
            known = client.check(spec)
            if known["duplicate_count"] == known["trial_count"] and not _wanted_again(known):
                return
        submission = client.submit(spec, key, "return" if reuse else "run")
        page = client.page(submission.experiment.page_url)
        if as_json:
            print_json(
                {
                    "experiment": submission.id,
                    "trials": submission.trial_ids,
                    "duplicates": [item["trial_id"] for item in submission.duplicates],
                    "reused": submission.reused,
                    "page": page,
                }
            )
        else:
            _say_submitted(submission, page)
        if watching and not submission.reused:
            watch_experiments(client, [submission.id])


def _say_submitted(submission: Submission, page: str) -> None:
    if submission.reused:
        say("Nothing new was stored; every trial has a result already:")
    else:
        count = len(submission.trial_ids)
        trials = f"{count} trials" if count != 1 else f"trial {submission.trial_ids[0]}"
        say(f"Experiment {submission.id} with {trials}: {page}")
        if submission.duplicates:
            say("There are results of the same already:")
    _say_known(submission.duplicates)


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _wanted_again(known: dict[str, Any]) -> bool:
    say("There is a result of this already:")
    _say_known(known["duplicates"])
    return click.confirm("Run it again?", default=False)


def _say_known(duplicates: list[dict[str, Any]]) -> None:
    for item in duplicates[:SHOWN]:
        shown = [name for name in HEADLINES if name in item["metrics"]]
        values = ", ".join(f"{name} {number(item['metrics'][name])}" for name in shown)
        say(f"  trial {item['trial_id']} of {printable(item['owner'])}: {values or 'succeeded'}")
    if len(duplicates) > SHOWN:
        say(f"  and {len(duplicates) - SHOWN} more")
