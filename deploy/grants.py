"""`labpool user grant` and `labpool user revoke`: what some may do and others may not."""

from __future__ import annotations

from collections.abc import Callable
from getpass import getuser

import click
from sqlalchemy.orm import Session

from db.grants import CAPABILITIES, grant, revoke
from db.models import User
from labpool.settings import load_settings

WithUser = Callable[[str, str, Callable[[Session, User], None]], None]
"""Runs the work of a command, by its name, on the user of a name in a transaction."""

_MEANINGS = {"kernels": "kernels: CUDA source of their own for a catalog kernel's signature."}


def add_commands(group: click.Group, with_user: WithUser) -> None:
    """Put both commands into `labpool user`."""
    what = click.argument("capability", type=click.Choice(CAPABILITIES))
    name = click.argument("name")

    @group.command("grant", help=f"Let a user do what is off for others.\n\n{_MEANINGS['kernels']}")
    @name
    @what
    def user_grant(name: str, capability: str) -> None:
        def work(session: Session, user: User) -> None:
            given = grant(session, user, capability, by=_who())
            print(
                f"{name} {'may now' if given else 'could already'} run {capability} of their own."
            )
            if not load_settings().own_kernels:
                print(
                    "LABPOOL_OWN_KERNELS is not set here; unless the service has it set to true, "
                    "they are off for the whole pool."
                )

        with_user("labpool user grant", name, work)

    @group.command("revoke")
    @name
    @what
    def user_revoke(name: str, capability: str) -> None:
        """Take a capability back; what waits is refused when its turn comes."""

        def work(session: Session, user: User) -> None:
            taken = revoke(session, user, capability)
            print(f"{name} {'may not' if taken else 'could not'} run {capability} of their own.")

        with_user("labpool user revoke", name, work)


def _who() -> str:
    try:
        return f"{getuser()}, on the pool's machine"
    except (KeyError, OSError):
        return "the pool's machine"
