"""`labpool up`: the service on this machine, from nothing to a link to open, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import FrameType

import click

from api.binding import check_binding, is_loopback
from deploy.address import url_of, usable_port
from deploy.child import child_environment
from deploy.command_line import data_dir_option, run, say, settings_with
from deploy.data_folder import FolderLock, end_leftovers, prepare_folder, write_private_json
from deploy.prepare import (
    ensure_local_user,
    ensure_store,
    open_database,
    others_can_sign_in,
    sign_in_link,
    worker_registered,
)
from deploy.stack import Stack, one_machine_parts
from labpool.settings import Settings
from labpool.version import version

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(settings: Settings, ready_file: Path | None, stop: threading.Event) -> None:
    """Start the stack, tell where it is, look after it until `stop`, take it down."""
    prepare_folder(settings.data_dir)
    with FolderLock(settings.data_dir) as lock:
        end_leftovers(lock, say)
        settings = settings.model_copy(update={"port": usable_port(settings.host, settings.port)})
        url = url_of(settings.host, settings.port)
        lock.note(url, ())
        database = open_database(settings)
        try:
            if not is_loopback(settings.host):
                check_binding(settings.host, others_can_sign_in(database))
            ensure_store(settings)
            ensure_local_user(database, settings, url)
            parts = one_machine_parts(
                settings,
                _child_environment(settings),
                lambda pid: worker_registered(database, pid),
            )
            stack = Stack(parts, say, stop)
            try:
                if stack.start():
                    lock.note(url, stack.processes())
                    _announce(settings, url, sign_in_link(database, url), ready_file)
                    stack.supervise(lambda: lock.note(url, stack.processes()))
            finally:
                _take_down(stack)
        finally:
            database.dispose()


def _take_down(stack: Stack) -> None:
    say("Stopping … (again to stop at once)")
    try:
        stack.stop()
    except KeyboardInterrupt:
        stack.kill()
    say("Stopped.")


def _child_environment(settings: Settings) -> dict[str, str]:
    return child_environment(
        os.environ,
        LABPOOL_DATA_DIR=str(settings.data_dir),
        LABPOOL_HOST=settings.host,
        LABPOOL_PORT=str(settings.port),
    )


def _announce(settings: Settings, url: str, link: str, ready_file: Path | None) -> None:
    if ready_file is not None:
        ready = {"url": url, "sign_in": link, "pid": os.getpid()}
        write_private_json(ready_file, ready)
    print(
        f"labpool {version()} is up: {url}\n"
        f"  sign in   {link}\n"
        f"            (works once, for 10 minutes; another: labpool user link)\n"
        f"  submit    labpool submit examples/lenet5_sweep.yaml --watch\n"
        f"  data      {settings.data_dir}\n"
        f"  stop      Ctrl-C",
        flush=True,
    )


def _stop_on_signals() -> threading.Event:
    """An event that the first signal sets; a second one interrupts an orderly stop."""
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in STOP_SIGNALS:
        signal.signal(number, handle)
    return stop


@click.command(name="up")
@data_dir_option
@click.option("--host", help="Address to listen on. Default: 127.0.0.1")
@click.option("--port", type=click.IntRange(0, 65535), help="Default: 8642; 0 takes a free one.")
@click.option("--slots", help="Trials run at once: a number, or auto.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Written when all is ready: url, sign_in and pid as JSON.",
)
def main(
    data_dir: Path | None,
    host: str | None,
    port: int | None,
    slots: str | None,
    ready_file: Path | None,
) -> None:
    """Run the whole service on this machine until Ctrl-C.

    The API, a worker and the bundled broker, on SQLite in one data folder. LABPOOL_DATABASE_URL
    and LABPOOL_BROKER_URL move it to Postgres and to a Redis or Valkey of yours.
    """
    stop = _stop_on_signals()

    def work() -> None:
        settings = settings_with(data_dir=data_dir, host=host, port=port, slots=slots)
        serve(settings, ready_file, stop)

    run("labpool up", work)


if __name__ == "__main__":
    main(prog_name="labpool up")
