"""The broker, the port, and whether `labpool up` runs on this data folder."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from kombu import Connection

from deploy.address import url_of, usable_port
from deploy.broker import Broker, find_server
from deploy.data_folder import read_json
from deploy.diagnosis.ports import holder_of_port
from deploy.errors import BrokerMissing, PortUnusable
from labpool.client.address import URL_VARIABLE
from labpool.diagnosis import Finding, note, ok, problem
from labpool.settings import Settings

BROKER, PORT = "broker", "port"
BROKER_TIMEOUT_S = 3.0
# The queue is in the database: without the broker slots look for work by themselves.
STILL_RUNS = "Trials still run, only up to half a minute later."


@dataclass(frozen=True)
class Running:
    """The `labpool up` that holds the data folder."""

    pid: int | None
    url: str | None


def running_service(settings: Settings) -> Running | None:
    """Who holds the data folder now; None when nobody does."""
    path = settings.run_dir / "up.lock"
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        known = read_json(path)
        return Running(known.get("pid"), known.get("url"))
    except OSError:
        return None
    return None


def ran_here(settings: Settings, url: str | None) -> bool:
    """Whether the service that commands would talk to is one that `up` ran on this folder."""
    named = url or os.environ.get(URL_VARIABLE)
    return not named and (settings.data_dir / "client.json").is_file()


def check_broker(settings: Settings, running: Running | None) -> Finding:
    """The configured broker's answer, or the bundled server."""
    if settings.broker_url is not None:
        return _check_configured(settings.broker_url)
    try:
        server = find_server()
    except BrokerMissing as error:
        return problem(BROKER, error.detail.splitlines()[0], "sudo apt install valkey-server")
    if running is None:
        return ok(BROKER, f"the bundled one, {server}; it starts with `labpool up`")
    broker = Broker(settings.broker_socket, settings.logs_dir / "broker.log", {})
    if broker.answers():
        return ok(BROKER, f"the bundled one answers on {settings.broker_socket}")
    says = f"The bundled one does not answer on {settings.broker_socket}. {STILL_RUNS}"
    log = f"tail {settings.logs_dir / 'broker.log'}"
    return problem(BROKER, says, f"{log}\nStop `labpool up` with Ctrl-C and start it again")


def _check_configured(url: str) -> Finding:
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.hostname or ''}:{parts.port or 6379}{parts.path}"
    try:
        with Connection(url, connect_timeout=BROKER_TIMEOUT_S) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_TIMEOUT_S)
            connection.default_channel.client.ping()
    # Each transport has errors of its own; whatever it is, the broker did not answer.
    except Exception as error:  # noqa: BLE001
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        says = f"{shown}: {reason} {STILL_RUNS}"
        return problem(BROKER, says, "Start that server, or correct LABPOOL_BROKER_URL")
    return ok(BROKER, f"{shown} answers")


def check_port(settings: Settings, running: Running | None) -> Finding:
    """Whether the API can listen, or does."""
    if running is not None and running.url is not None:
        return ok(PORT, f"`labpool up` listens on {running.url} (process {running.pid})")
    host, port = settings.host, settings.port
    try:
        usable_port(host, port)
    except PortUnusable as error:
        holder = holder_of_port(port)
        if holder is not None and holder.is_labpool:
            says = f"{url_of(host, port)} is another labpool's: {holder}."
            mend = f"labpool up --port {port + 1}"
            return note(PORT, says, mend)
        who = f" It is taken by {holder}." if holder else ""
        says = f"{error.detail.splitlines()[0]}{who}"
        return problem(PORT, says, f"labpool up --port {port + 1}        (or stop that program)")
    return ok(PORT, f"{host} port {port} is free")
