"""The commands about a trial's turn: why and priority."""

from __future__ import annotations

from typing import Any

import click

from labpool.cli.options import NUMBER, connect, json_option, url_option
from labpool.cli.output import print_json, printable
from labpool.turns import why_lines


@click.command("why")
@click.argument("trial", type=NUMBER)
@url_option
@json_option
def why(trial: int, url: str | None, as_json: bool) -> None:
    """Say why TRIAL waits.

    Who is ahead, what it lacks, whose turn it is, and a guess of when with its arithmetic. In a
    sweep with fuse also with whom it is trained together, or why by itself.
    """
    with connect(url) as client:
        found = client.why(trial)
    if as_json:
        print_json(found)
    else:
        print_why(found)


@click.command("priority")
@click.argument("trial", type=NUMBER)
@click.argument("level", type=click.Choice(["low", "normal", "high"]))
@url_option
@json_option
def priority(trial: int, level: str, url: str | None, as_json: bool) -> None:
    """Make a waiting TRIAL low, normal or high: low gives way to all, high is for admins."""
    with connect(url) as client:
        found = client.prioritise(trial, level)
    if as_json:
        print_json(found)
    else:
        print(f"Trial {trial}: {found['priority']}. {printable(found['sentence'])}")


def print_why(found: dict[str, Any]) -> None:
    """The sentence first, then what it comes from."""
    place = f", place {found['place']} of the queue" if found["place"] is not None else ""
    urgent = "" if found["priority"] == "normal" else f", {found['priority']} priority"
    asked = f", {found['pending']}" if found.get("pending") else ""
    print(f"Trial {found['trial_id']}: {found['state']}{asked}{place}{urgent}")
    print(printable(found["sentence"]))
    for name, text in why_lines(found):
        print(f"  {name + ':':10}{printable(text)}")
