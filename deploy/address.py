"""Where the service listens."""

from __future__ import annotations

import socket

from deploy.errors import PortUnusable


def usable_port(host: str, port: int) -> int:
    """`port`, or a free one for 0, after making sure that it can be listened on.

    Raises PortUnusable. Another program may still take it before the service does; that is then
    the service's own failure to start.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            # As gunicorn does: an ended connection in TIME_WAIT is no obstacle.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
            return int(listener.getsockname()[1])
    except OSError as error:
        raise PortUnusable(host, port, error) from None


def url_of(host: str, port: int) -> str:
    """The address to open on this machine."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
