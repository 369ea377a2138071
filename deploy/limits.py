"""What `labpool user` says of a user's limits, and of the trials of one who is shut out."""

from __future__ import annotations

from typing import Literal

import click
from sqlalchemy.orm import Session

from db.models import User
from db.users import open_trials
from labpool.settings import load_settings

MOST_NAMED = 10


def limit_of(text: str | None) -> int | Literal["default"] | None:
    """--max-running as it was written."""
    if text is None:
        return None
    if text == "default":
        return "default"
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(
            "say a whole number from 1, or default", param_hint="--max-running"
        )
    return int(text)


def print_open(session: Session, user: User) -> None:
    """What goes on running for somebody who is shut out."""
    waiting, running, experiments = open_trials(session, user)
    if not waiting and not running:
        return
    wait = f"{waiting} of theirs {'waits' if waiting == 1 else 'wait'}"
    run = f"{running} {'runs' if running == 1 else 'run'}"
    shown = ", ".join(map(str, experiments[:MOST_NAMED]))
    more = f" and {len(experiments) - MOST_NAMED} more" if len(experiments) > MOST_NAMED else ""
    which = "experiment" if len(experiments) == 1 else "experiments"
    print(f"{wait} and {run}: {which} {shown}{more}. `labpool cancel NUMBER` ends one.")


def most_slots(own: int | None) -> str:
    """A user's most slots: their own limit, the pool's, or none."""
    most = own or load_settings().max_running_per_user
    if most is None:
        return "with no limit of slots"
    slots = f"at most {most} slot{'' if most == 1 else 's'}"
    return slots if own else f"{slots} (the pool's limit)"
