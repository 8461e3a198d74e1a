"""What is looked at on this machine by calls that block, each on a thread of its own."""

import logging
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from meshinfer.config import DoctorLimits
from meshinfer.machine import serviceorder
from meshinfer.machine.facts import gather_facts
from meshinfer.machine.memory import measure_memory
from meshinfer.machine.power import PowerUnreadable, open_meter
from meshinfer.machine.tools import ToolFailed, run_tool
from meshinfer.model.blas import preload_openblas
from meshinfer.model.metal import working_set_bytes
from meshinfer.transports.interfaces import interfaces_for, list_interfaces

from .observed import Observed
from .probe_disk import look_at_disk
from .probe_firewall import look_at_firewall
from .probe_multicast import try_multicast
from .probe_ports import try_port
from .routes import MACOS_COMMAND, read_netstat, read_proc_route

logger = logging.getLogger(__name__)

_IS_MAC = platform.system() == "Darwin"
_PROC_ROUTE = Path("/proc/net/route")
_EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Request:
    """What to look at.

    url: the API of this machine's peer. peers: each host and port that should be reached. mesh: the name of
    the mesh to be in, where no peer runs that knows. listen: host and port on which a peer takes links, and
    api_port that of its API; is_listen_given: these are meant, also where the peer that runs here has others.
    folders: where models go, and what for. limits: how long to wait. headers: go to `url` and to nobody else:
    they carry the user's key.
    """

    url: str
    peers: tuple[tuple[str, int], ...]
    mesh: str
    listen: tuple[str, int]
    api_port: int
    folders: tuple[tuple[Path, str], ...]
    limits: DoctorLimits = field(default_factory=DoctorLimits)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_listen_given: bool = True


Change = Callable[[Observed], Observed]
"""Adds what was seen to what is known."""

Look = Callable[[Request], Change]


def _machine(request: Request) -> Change:
    facts = gather_facts(request.limits.timeout_s)
    return lambda seen: replace(seen, facts=facts)


def _services(request: Request) -> Change:
    services = serviceorder.read_service_order(_told_on_mac(serviceorder.COMMAND, request))
    return lambda seen: replace(seen, services=services)


def _memory(request: Request) -> Change:
    """The memory, and the limit that somebody may have set for the GPU."""
    try:
        recommended_bytes = working_set_bytes()
    except (ImportError, RuntimeError) as error:
        logger.debug("Metal does not tell: %s", error)
        recommended_bytes = None
    terms = measure_memory(recommended_bytes)
    told = _told_on_mac(("sysctl", "-n", "iogpu.wired_limit_mb"), request).strip()
    limit_mb = int(told[:9]) if told.isascii() and told.isdigit() else None
    return lambda seen: replace(seen, memory=terms, wired_limit_mb=limit_mb)


def _route(request: Request) -> Change:
    if _IS_MAC:
        route = read_netstat(_told_on_mac(MACOS_COMMAND, request))
    else:
        route = read_proc_route(_PROC_ROUTE.read_text())
    return lambda seen: replace(seen, link_local_route=route)


def _firewall(request: Request) -> Change:
    state = look_at_firewall(request.listen[1], request.limits.timeout_s)
    return lambda seen: replace(seen, firewall=state)


def _multicast(request: Request) -> Change:
    there = list_interfaces()
    used = {each.name for host in _EVERYWHERE for each in interfaces_for(host, there)}
    known = [each for each in there if each.name in used]
    heard = tuple(try_multicast(each, request.limits.timeout_s / len(known)) for each in known)
    return lambda seen: replace(seen, heard=heard)


def _ports(request: Request) -> Change:
    links = try_port(*request.listen, "links", is_udp_wanted=True)
    api = try_port("127.0.0.1", request.api_port, "API", is_udp_wanted=False)
    return lambda seen: replace(seen, ports=(links, api))


def _disks(request: Request) -> Change:
    disks = tuple(look_at_disk(*each) for each in request.folders)
    return lambda seen: replace(seen, disks=disks)


def _blas(request: Request) -> Change:
    advice = preload_openblas().advice or ""
    return lambda seen: replace(seen, blas_advice=advice)


def _power(request: Request) -> Change:
    try:
        with open_meter(is_root_used=False) as meter:
            covers, reason = meter.covers, ""
    except PowerUnreadable as error:
        covers, reason = "", str(error)
    return lambda seen: replace(seen, power=covers, no_power=reason)


LOOKS: dict[str, Look] = {
    "this machine": _machine,
    "network services": _services,
    "memory": _memory,
    "routes": _route,
    "the firewall": _firewall,
    "multicast": _multicast,
    "ports": _ports,
    "disks": _disks,
    "BLAS": _blas,
    "power": _power,
}


AT_PORTS = frozenset({"the firewall", "ports"})
"""Those that look at ports: which, is known once the peer that runs here has been asked."""


def _told_on_mac(command: tuple[str, ...], request: Request) -> str:
    """What a tool of macOS tells; nothing elsewhere, and where it fails."""
    if not _IS_MAC:
        return ""
    try:
        return run_tool(command, request.limits.timeout_s)
    except ToolFailed as error:
        logger.debug("%s", error)
        return ""
