"""Which addresses the service may listen on."""

from __future__ import annotations

import ipaddress

from labpool.errors import LabpoolError

_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


class UnsafeBinding(LabpoolError):
    """The service would be reachable from other machines, but no user has been set up."""

    permanent = True


def is_loopback(host: str) -> bool:
    """Whether `host` can be reached from this machine alone. Unknown names are not."""
    name = host.strip().lower().strip("[]")
    if name in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_binding(host: str, user_count: int) -> None:
    """Raise UnsafeBinding when `host` opens the service to others while nobody can sign in."""
    if user_count == 0 and not is_loopback(host):
        raise UnsafeBinding(
            f"refusing to listen on {host!r} while no user exists; "
            "add one first: labpool user add NAME --role admin"
        )
