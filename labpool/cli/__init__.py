"""The `labpool` command: one small file a group of commands."""

from __future__ import annotations

import click

from labpool import __version__
from labpool.cli import (
    act,
    artifacts,
    attempts,
    bench,
    compare,
    curves,
    data,
    doctor,
    look,
    predict,
    rerun,
    server,
    submit,
    sweep,
    turns,
    upkeep,
    watch,
)
from labpool.cli.exit_codes import MEANINGS
from labpool.cli.options import LabpoolGroup

EPILOG = "Exit statuses: " + "; ".join(
    f"{int(code)} {meaning.split(';')[0]}" for code, meaning in MEANINGS.items()
)
COMMANDS = (
    server.up,
    server.demo,
    submit.submit,
    watch.watch,
    bench.bench,
    look.ls,
    look.show,
    sweep.sweep,
    attempts.logs,
    artifacts.artifacts,
    curves.curves,
    compare.compare,
    predict.predict,
    look.board,
    act.cancel,
    act.pause,
    act.resume,
    act.stop,
    act.extend,
    act.retry,
    rerun.rerun,
    turns.why,
    turns.priority,
    look.pool,
    data.data,
    look.schema,
    server.user,
    server.token,
    server.worker,
    doctor.doctor,
)


@click.group(cls=LabpoolGroup, epilog=EPILOG)
@click.version_option(__version__, prog_name="labpool")
def main() -> None:
    """A fair shared pool for a deep-learning lab: submit specs, compare results."""


for command in COMMANDS:
    main.add_command(command)
for command in (upkeep.clear, upkeep.drain):
    look.pool.add_command(command)
