"""What only somebody at this machine may ask of its peer: to leave, to load models, and to unload them."""

import ipaddress

from starlette.requests import Request

from .access import IS_ADMIN
from .errors import ApiError

_FROM_ELSEWHERE = ("origin", "forwarded", "x-forwarded-for")
"""A browser says for which page it asks, a proxy for whom: neither is somebody at this machine."""


def check_is_from_here(request: Request, what: str, command: str) -> None:
    """Let only somebody at this machine, or with the admin key, ask for this.

    what: such as `to leave`; command: that does it.

    Raises:
        ApiError: the request comes from another machine, a web page or a proxy; status 403.
    """
    if request.scope.get(IS_ADMIN):
        return
    if request.client is None or not _is_loopback(request.client.host):
        text = f"only its own machine may ask a peer {what}, over loopback: run `meshinfer {command}` there"
        raise ApiError(403, text, code="not_local")
    if any(name in request.headers for name in _FROM_ELSEWHERE):
        text = f"a web page or a proxy may not ask a peer {what}: run `meshinfer {command}` on its machine"
        raise ApiError(403, text, code="not_local")


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
