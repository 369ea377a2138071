"""The commands about a trial's turn: why and priority."""

from __future__ import annotations

from typing import Any

import click

from labpool.cli.options import connect, json_option, url_option
from labpool.cli.output import duration, print_json, printable


@click.command("why")
@click.argument("trial", type=int)
@url_option
@json_option
def why(trial: int, url: str | None, as_json: bool) -> None:
    """Say why TRIAL waits.

    Who is ahead, what it lacks, whose turn it is, and a guess of when with its arithmetic.
    """
    with connect(url) as client:
        found = client.why(trial)
    if as_json:
        print_json(found)
    else:
        print_why(found)


@click.command("priority")
@click.argument("trial", type=int)
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
    print(f"Trial {found['trial_id']}: {found['state']}{place}{urgent}")
    print(printable(found["sentence"]))
    lines = [("ahead", _ahead(found)), ("turn", _turn(found)), ("estimate", found["arithmetic"]),
             ("by age", _by_age(found))]  # fmt: skip
    for name, text in lines:
        if text:
            print(f"  {name + ':':10}{printable(text)}")


def _ahead(found: dict[str, Any]) -> str:
    return ", ".join(f"{row['count']} of {row['owner']}" for row in found["ahead_of"])


def _turn(found: dict[str, Any]) -> str:
    if found["next"] is None:
        return ""
    own = f"{found['owner']['owner']} {_holds(found['owner'])}"
    if found["next"]["owner"] == found["owner"]["owner"]:
        return f"{own}; the next slot is theirs"
    return f"{own}; next is {found['next']['owner']}, who {_holds(found['next'])}"


def _holds(held: dict[str, Any]) -> str:
    slots = f"{held['running']} slot{'' if held['running'] == 1 else 's'}"
    if held["max_running"] is not None:
        slots += f" of at most {held['max_running']}"
    share = "" if held["share"] == 1 else f" with share {held['share']:g}"
    return f"holds {slots} and used {duration(held['used_s'])}{share}"


def _by_age(found: dict[str, Any]) -> str:
    if found["by_age_s"] is None:
        return ""
    if found["by_age_s"] <= 0:
        return "waits long enough to be taken out of turn"
    return f"may be taken out of turn in {duration(found['by_age_s'])}"
