"""A trial's attempts, and the log of each: the command ``logs``."""

from __future__ import annotations

import sys
from typing import Any

import click

from labpool.cli.log_text import once, without_modules
from labpool.cli.options import NUMBER, connect, json_option, url_option
from labpool.cli.output import count_of, print_json, printable
from labpool.client import TrialDetail


@click.command("logs")
@click.argument("trial", type=NUMBER)
@click.option("--follow", "-f", is_flag=True, help="Stay until the trial has ended.")
@click.option("--attempt", type=click.IntRange(min=1), help="An earlier attempt's, from 1.")
@url_option
@json_option
def logs(trial: int, follow: bool, attempt: int | None, url: str | None, as_json: bool) -> None:
    """Print TRIAL's log; with --json a line for each piece of it."""
    with connect(url) as client:
        away = once("The service is away; still trying.")
        fence = None if attempt is None else _fence_of(client.trial(trial), attempt)
        parts = client.log_parts(trial, follow, on_away=away, fence=fence)
        for part in parts if as_json else without_modules(parts):
            if as_json:
                print_json({"trial": trial, "text": part})
                continue
            sys.stdout.write(printable(part) if sys.stdout.isatty() else part)
            sys.stdout.flush()


def in_order(attempts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Attempts as people count them, the first first."""
    return sorted(attempts, key=lambda attempt: int(attempt["fence"]))


def outcome_of(attempt: dict[str, Any]) -> str:
    """What became of an attempt; of one that was given back, why."""
    if attempt["outcome"] == "released":
        return str(attempt.get("reason_kind") or "given back").replace("_", " ")
    return printable(attempt["outcome"] or "runs")


def _fence_of(trial: TrialDetail, number: int) -> int:
    attempts = in_order(trial.model_dump(mode="json")["attempts"])
    if number > len(attempts):
        found = count_of(len(attempts), "attempt")
        raise click.UsageError(f"Trial {trial.id} had {found}; there is no attempt {number}.")
    return int(attempts[number - 1]["fence"])
