"""Whether the service answers and takes the token."""

from __future__ import annotations

import httpx

from labpool.client.address import TOKEN_VARIABLE, URL_VARIABLE, Address, find_address
from labpool.client.errors import ApiError, BadAddress, NoService, Unreachable
from labpool.client.transport import LOOPBACK, Transport
from labpool.diagnosis import Finding, note, ok, problem

SERVICE, TOKEN = "service", "token"
TIMEOUT_S = 5.0
NEW_TOKEN = (
    f"labpool token add        (on the pool's machine; put it into {TOKEN_VARIABLE})\n"
    "labpool up               (on this machine: a start writes a token that works)"
)


def check_service(url: str | None = None) -> list[Finding]:
    """The service that `url` or the environment names, and whether it takes the token."""
    try:
        address = find_address(url)
    except NoService:
        says = f"None is known here: no {URL_VARIABLE}, and none has run on this data folder."
        return [note(SERVICE, says, "labpool up")]
    except BadAddress as error:
        return [problem(SERVICE, str(error), f"export {URL_VARIABLE}=http://HOST:PORT")]
    transport = Transport(address, http=_connections(address))
    try:
        return _asked(transport)
    finally:
        transport.close()


def _asked(transport: Transport) -> list[Finding]:
    url = transport.address.url
    try:
        transport.send("GET", "/health", repeat=False)
    except Unreachable as error:
        reason = error.detail.splitlines()[0]
        is_here = httpx.URL(url).host in LOOPBACK
        mend = "labpool up" if is_here else f"Correct {URL_VARIABLE}, or start it there"
        return [problem(SERVICE, f"Nothing answers: {reason}", mend)]
    except ApiError as error:
        says = f"{url} answers with {error.status}: it is something else than labpool."
        return [problem(SERVICE, says, f"export {URL_VARIABLE}=http://HOST:PORT")]
    return [_readiness(transport), _token(transport)]


def _readiness(transport: Transport) -> Finding:
    url = transport.address.url
    try:
        transport.send("GET", "/ready", repeat=False)
    except (ApiError, Unreachable) as error:
        says = f"{url} answers, but cannot serve: {error.detail}"
        return problem(SERVICE, says, "labpool doctor        (on its machine)")
    return ok(SERVICE, f"{url} answers and is ready")


def _token(transport: Transport) -> Finding:
    if transport.address.token is None:
        says = f"There is none for {transport.address.url}."
        return problem(TOKEN, says, NEW_TOKEN)
    try:
        transport.send("GET", "/experiments", parameters={"limit": 1}, repeat=False)
    except ApiError as error:
        if error.status in (401, 403):
            says = "The service refuses it: it is wrong, revoked or expired, or its user disabled."
            return problem(TOKEN, says, NEW_TOKEN)
        return problem(TOKEN, f"It could not be tried: {error}", "labpool doctor")
    except Unreachable as error:
        return problem(TOKEN, f"It could not be tried: {error.detail}", "labpool doctor")
    return ok(TOKEN, "the service takes it")


def _connections(address: Address) -> httpx.Client:
    # As every client does: a proxy set for the outside world is no way to this very machine.
    trust_env = httpx.URL(address.url).host not in LOOPBACK
    return httpx.Client(timeout=TIMEOUT_S, trust_env=trust_env)
