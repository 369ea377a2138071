"""What people install: specs, the catalog reader, search, the client and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labpool.client import Client

__version__ = "0.1.0"
__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> object:
    # The server's processes import labpool too and need no HTTP client.
    if name == "Client":
        from labpool.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
