"""Users and their tokens, straight in the database: for whoever runs the pool's machine.

`labpool user …` and `labpool token …` start this file. A token's text is printed once and kept
nowhere: the database holds a hash.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy.orm import Session

from db.engine import Database
from db.grants import capabilities_of
from db.models import User
from db.states import Role
from db.users import (
    LARGEST_SHARE,
    LEAST_SHARE,
    add_user,
    end_token,
    find_user,
    issue_token,
    list_tokens,
    list_users,
    set_user_disabled,
    set_user_limits,
)
from deploy.command_line import run, settings_with
from deploy.data_folder import prepare_folder, read_json
from deploy.errors import DeployError
from deploy.grants import add_commands
from deploy.limits import limit_of, most_slots, print_open
from deploy.prepare import LOCAL_USER, open_database, sign_in_link
from labpool.settings import Settings, load_settings

DAY_S = 86_400.0
_SHARE_HELP = "2 gets twice as much of the pool as 1."


class NoSuchUser(DeployError):
    """There is no user of that name."""


class NoSuchToken(DeployError):
    """There is no such token."""


json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


@click.group()
def main() -> None:
    """Manage users and tokens on the pool's own machine."""


@main.group()
def user() -> None:
    """Add, list, disable and enable users."""


@main.group()
def token() -> None:
    """Add, list and revoke users' API tokens."""


@user.command("add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default="member",
    show_default=True,
    help="Admins manage users and everybody's experiments.",
)
@json_option
def user_add(name: str, role: str, as_json: bool) -> None:
    """Add a user and print their first API token, once."""

    def work(session: Session) -> None:
        added = add_user(session, name, Role(role))
        row, secret = issue_token(session, added, "api", "first token", None)
        if as_json:
            _print_json({"name": name, "role": role, "token_id": row.id, "token": secret})
        else:
            print(f"Added {name} ({role}). Their token, shown only now:\n{secret}")

    _with_database("labpool user add", work)


@user.command("ls")
@json_option
def user_ls(as_json: bool) -> None:
    """List the users."""

    def work(session: Session) -> None:
        users = [
            {
                "name": found.name,
                "role": found.role.value,
                "share": found.share,
                "max_running": found.max_running,
                "may_run": " ".join(capabilities_of(session, found.id)),
                "created_at": _when(found.created_at),
                "disabled_at": _when(found.disabled_at),
            }
            for found in list_users(session)
        ]
        if not as_json and (most := load_settings().max_running_per_user) is not None:
            for row in users:
                row["max_running"] = row["max_running"] or f"{most} (the pool's)"
        _print_rows(users, as_json)

    _with_database("labpool user ls", work)


@user.command("set")
@click.argument("name")
@click.option("--share", type=click.FloatRange(LEAST_SHARE, LARGEST_SHARE), help=_SHARE_HELP)
@click.option("--max-running", help="Most slots at once: a number, or default for the pool's own.")
@json_option
def user_set(name: str, share: float | None, max_running: str | None, as_json: bool) -> None:
    """Change a user's share of the pool, or the most slots they may hold."""
    if share is None and max_running is None:
        raise click.UsageError("say --share or --max-running; `labpool user ls` shows what is set")
    limit = limit_of(max_running)

    def work(session: Session) -> None:
        _user(session, name)
        changed = set_user_limits(session, name, share=share, max_running=limit)
        if as_json:
            limits = {"share": changed.share, "max_running": changed.max_running}
            _print_json({"name": name, **limits})
            return
        print(f"{name}: share {changed.share:g}, {most_slots(changed.max_running)} at once.")

    _with_database("labpool user set", work)


@user.command("disable")
@click.argument("name")
def user_disable(name: str) -> None:
    """Refuse a user from now on; what they made stays, and what they have in the queue runs."""
    _set_disabled("labpool user disable", name, disabled=True)


@user.command("enable")
@click.argument("name")
def user_enable(name: str) -> None:
    """Let a disabled user in again."""
    _set_disabled("labpool user enable", name, disabled=False)


@user.command("link")
@click.argument("name", default=LOCAL_USER)
def user_link(name: str) -> None:
    """Print a link to sign a user in.

    It works once, within ten minutes.
    """

    def work() -> None:
        with _opened() as (settings, database):
            with database.snapshot() as session:
                _user(session, name)
            print(sign_in_link(database, _url(settings), name))

    run("labpool user link", work)


@token.command("add")
@click.argument("name", default=LOCAL_USER)
@click.option("--label", default="command line", help="What the token is for.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Default: no end.")
@json_option
def token_add(name: str, label: str, days: float | None, as_json: bool) -> None:
    """Print a new API token of a user, once."""

    def work(session: Session) -> None:
        lifetime_s = None if days is None else days * DAY_S
        row, secret = issue_token(session, _user(session, name), "api", label, lifetime_s)
        if as_json:
            _print_json({"name": name, "token_id": row.id, "token": secret})
        else:
            print(f"Token {row.id} of {name}, shown only now:\n{secret}")

    _with_database("labpool token add", work)


@token.command("ls")
@click.argument("name", default=LOCAL_USER)
@json_option
def token_ls(name: str, as_json: bool) -> None:
    """List a user's tokens, without their secrets."""

    def work(session: Session) -> None:
        tokens = [
            {
                "id": found.id,
                "purpose": str(found.purpose),
                "label": found.label,
                "created_at": _when(found.created_at),
                "expires_at": _when(found.expires_at),
                "used_at": _when(found.used_at),
                "revoked_at": _when(found.revoked_at),
            }
            for found in list_tokens(session, _user(session, name))
        ]
        _print_rows(tokens, as_json)

    _with_database("labpool token ls", work)


@token.command("revoke")
@click.argument("token_id", type=int)
def token_revoke(token_id: int) -> None:
    """Make a token useless from now on."""

    def work(session: Session) -> None:
        if not end_token(session, token_id):
            raise NoSuchToken(str(token_id))
        print(f"Revoked token {token_id}.")

    _with_database("labpool token revoke", work)


def _set_disabled(command: str, name: str, *, disabled: bool) -> None:
    def work(session: Session) -> None:
        _user(session, name)
        changed = set_user_disabled(session, name, disabled)
        print(f"{name} is {'disabled' if disabled else 'enabled'}.")
        if disabled:
            print_open(session, changed)

    _with_database(command, work)


def _with_database(command: str, work: Callable[[Session], None]) -> None:
    def in_transaction() -> None:
        with _opened() as (_, database), database.transaction() as session:
            work(session)

    run(command, in_transaction)


@contextmanager
def _opened() -> Iterator[tuple[Settings, Database]]:
    settings = settings_with()
    prepare_folder(settings.data_dir)
    database = open_database(settings)
    try:
        yield settings, database
    finally:
        database.dispose()


def _user(session: Session, name: str) -> User:
    found = find_user(session, name)
    if found is None:
        raise NoSuchUser(f"{name!r}. `labpool user ls` lists them; `labpool user add` adds one.")
    return found


def _with_user(command: str, name: str, work: Callable[[Session, User], None]) -> None:
    _with_database(command, lambda session: work(session, _user(session, name)))


def _url(settings: Settings) -> str:
    """Where the service listens: as it said itself, else as the settings say."""
    running = read_json(settings.data_dir / "client.json").get("url")
    return str(running or f"http://{settings.host}:{settings.port}")


def _when(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _print_json(content: object) -> None:
    print(json.dumps(content))


def _print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        _print_json(rows)
        return
    if not rows:
        print("none")
        return
    cells = [[*rows[0]], *([str(value or "-") for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(map(str.ljust, line, widths)).rstrip())


add_commands(user, _with_user)

if __name__ == "__main__":
    main(prog_name="labpool")
