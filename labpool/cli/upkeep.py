"""What administrators do for the pool: `labpool pool clear` and `labpool pool drain`."""

from __future__ import annotations

import click

from labpool.cli.options import connect, json_option, url_option
from labpool.cli.output import print_json, printable


@click.command("clear")
@click.argument("device")
@url_option
@json_option
def clear(device: str, url: str | None, as_json: bool) -> None:
    """Put a GPU back into service, for admins. DEVICE is its id, or the number of its slot.

    A GPU that failed its probe takes nothing, also after a restart, until somebody says that it is
    well again. `labpool pool` names those that are out of service.
    """
    with connect(url) as client:
        content = client.clear_quarantine(device)
    if as_json:
        print_json(content)
    else:
        print(f"{printable(content['name'])} of {printable(content['host'])} is in service again.")


@click.command("drain")
@click.argument("worker")
@click.option("--undo", is_flag=True, help="Let it take trials again.")
@url_option
@json_option
def drain(worker: str, undo: bool, url: str | None, as_json: bool) -> None:
    """Have WORKER finish what it holds and take nothing more, for admins.

    WORKER is its id, of which the letters that `labpool pool` shows will do, or the name of its
    host. A worker that is started anew takes trials again.
    """
    with connect(url) as client:
        content = client.drain_worker(worker, undo=undo)
    if as_json:
        print_json(content)
    elif undo:
        print(f"The worker of {printable(content['host'])} takes trials again.")
    else:
        print(
            f"The worker of {printable(content['host'])} finishes what it holds and takes nothing "
            "more; undo it with --undo."
        )
