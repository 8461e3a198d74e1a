"""Every setting of a peer, with its default and its unit. Checked once, trusted afterwards."""

import ipaddress
import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

from meshinfer.topology.agreement import AgreementTiming
from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO
from meshinfer.topology.knobs import MembershipKnobs, lan
from meshinfer.topology.planner import PLANNERS
from meshinfer.topology.question import Planner
from meshinfer.transports.base import LinkLimits
from meshinfer.transports.fabric import FabricTiming
from meshinfer.transports.sighting import NAME
from meshinfer.transports.trunk import TrunkLimits

from .errors import ConfigError, UnsupportedModel
from .fabric import FABRICS
from .model.variant import Variant
from .scheduling.haul import HaulTiming

_LEAST_KEY = 16


@dataclass(frozen=True, slots=True)
class ReplayLimits:
    """What a peer keeps of answers whose requests carry an `Idempotency-Key`, so that none is computed twice.

    max_answers, max_bytes: past either the oldest are forgotten. kept_s: how long an answer is kept once it
    has ended. grace_s: how long one goes on that nobody reads any more; its reader may come back.
    """

    max_answers: int = 256
    max_bytes: int = 16 << 20
    kept_s: float = 600.0
    grace_s: float = 30.0


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """Where the HTTP API listens. max_body_bytes: a longer request is refused with 413.

    port 0 means any free one. read_timeout_s: a client that takes longer to send its request is cut off.
    write_timeout_s: a client that takes no byte of what waits for it for this long is cut off.
    replay: what is kept for requests that come again. max_watchers: how many may follow events at once.
    max_choices: answers that one request may ask for. api_key: what every request must carry; beyond
    loopback there must be one. admin_key: what those must carry that load, unload, drain or end something;
    without one, only this machine may. names: under which the API may be asked, besides the machine's own and
    numbers. max_requests: served at once; further ones are refused. max_connections: open at once, whether or
    not anything was asked on them; further ones are closed. Never more than half of the files that this
    process may have open: links and weights need some too.

    Raises:
        ConfigError: it listens beyond loopback without a key, or a key is too short.
    """

    host: str = "127.0.0.1"
    port: int = 0
    api_key: str | None = field(default=None, repr=False)
    admin_key: str | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()
    max_requests: int = 1024
    max_connections: int = 512
    max_body_bytes: int = 8 << 20
    read_timeout_s: float = 30.0
    write_timeout_s: float = 30.0
    replay: ReplayLimits = field(default_factory=ReplayLimits)
    max_watchers: int = 64
    max_choices: int = 16

    def __post_init__(self) -> None:
        for option, key in (("--api-key", self.api_key), ("--admin-key", self.admin_key)):
            if key is not None and (len(key) < _LEAST_KEY or not key.isascii() or not key.isprintable()):
                raise ConfigError(
                    f"{option} takes at least {_LEAST_KEY} printable ASCII characters, such as the output of "
                    "`openssl rand -hex 24`"
                )
        if not is_loopback(self.host) and self.api_key is None:
            raise ConfigError(
                f"--api-host {self.host} lets other machines ask this peer: give an --api-key that they must "
                "send, such as the output of `openssl rand -hex 24`"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How much a peer takes on at once, as head and as origin.

    max_open: answers that one peer writes for its own readers at once; past that they are refused.
    max_running: sessions that a head lets circulate. max_waiting: sessions queued behind them; past that
    requests are refused. prefill_chunk_tokens: a prompt goes round in chunks of this many tokens at most,
    and prefill_chunk_s: of so long on any stage; shorter ones where others would wait too long behind them.
    max_prefixes: answers whose caches are kept, as memory allows, for requests that begin with the same
    tokens; 0 keeps none. default_max_tokens: length of an answer whose request names none.
    kv_reserve_tokens: KV cache that a plan reserves beside the weights (no more than the model's context).
    ring_wait_s: how long a request waits while the ring re-forms.
    progress_timeout_s: an answer without any progress for this long fails. stall_least_s, stall_most_s: an
    answer is begun again, from what there is of it, where the ring says nothing of it for ten times as long
    as its longest pause of late, but not before, and not after, so long; and each further time after twice
    as long.
    load_timeout_s: a stage that loads for longer than this gives up its place.
    keep_s, keep_bytes: what a stage computed of an answer whose ring broke is kept for so long, and so much
    of it at most; never more than fits beside weights and sessions.
    deadline_s: how long an answer may take from its question to its end, waiting and all; a request may ask
    for less. finish_timeout_s: how long a peer that leaves lets the answers go on that its API writes; it
    begins no others meanwhile. trace_timeout_s: how long a trace waits for what the ring's peers tell.
    """

    max_open: int = 256
    max_running: int = 16
    max_waiting: int = 64
    prefill_chunk_tokens: int = 2048
    prefill_chunk_s: float = 0.25
    max_prefixes: int = 32
    default_max_tokens: int = 512
    kv_reserve_tokens: int = 4096
    ring_wait_s: float = 20.0
    progress_timeout_s: float = 120.0
    stall_least_s: float = 3.0
    stall_most_s: float = 30.0
    load_timeout_s: float = 900.0
    keep_s: float = 300.0
    keep_bytes: int = 8 << 30
    deadline_s: float = 3600.0
    finish_timeout_s: float = 30.0
    trace_timeout_s: float = 2.0


@dataclass(frozen=True, slots=True)
class ActorLimits:
    """mailbox: messages that wait for an actor.

    max_restarts within restart_window_s: an actor that fails more often ends the peer. restart_delay_s:
    before the first restart, doubling. stop_timeout_s: how long a peer takes at most to say goodbye.
    leave_timeout_s: how long a peer that leaves waits at most for others to take over its layers.
    seed_retry_s: the longest pause between two attempts to reach a `--peer`.
    hello_timeout_s: a link whose other end has not introduced itself by then is closed.
    stagger_s: of several addresses of one peer each is dialled so long after the one before.
    sighted_dials: peers dialled at once that are merely announced on the network, as anybody may announce
    any; `--peer`s and members do not count. Where nobody answers, each takes up to 20 sockets.
    sighting_s: who called out on a cable is forgotten where it does not call again for so long; peers call
    every 16 s at least.
    greetings: links that are greeted at once; further ones wait in the listener. max_frames_per_s: who sends
    more is a flood, and its line is ended: a core can read some 45,000, and a busy ring says a few thousand.
    refused_pause_s: for so long nobody else is greeted in the place of who was refused: handshakes cost, and
    strangers try again.
    """

    mailbox: int = 4096
    max_restarts: int = 5
    restart_window_s: float = 60.0
    restart_delay_s: float = 0.1
    stop_timeout_s: float = 5.0
    leave_timeout_s: float = 20.0
    seed_retry_s: float = 5.0
    hello_timeout_s: float = 5.0
    stagger_s: float = 0.25
    sighted_dials: int = 4
    sighting_s: float = 60.0
    greetings: int = 32
    max_frames_per_s: int = 20_000
    refused_pause_s: float = 1.0


@dataclass(frozen=True, slots=True)
class MachineLimits:
    """How this machine is looked at.

    tool_timeout_s: how long one of the system's own tools may take to answer. glance_s: how often addresses
    are looked at; where one came or went, all tools are asked. refresh_s: how often they are asked in any
    case, since some of them take a second. power_every_s: how often the power meter is read, where there is
    one. metal_timeout_s: how long a peer waits at its start for Metal to say how much memory it recommends;
    past that the share of all memory counts that is safe on every Mac.
    """

    tool_timeout_s: float = 5.0
    glance_s: float = 2.0
    refresh_s: float = 60.0
    power_every_s: float = 1.0
    metal_timeout_s: float = 20.0


@dataclass(frozen=True, slots=True)
class DoctorLimits:
    """How long `meshinfer doctor` waits.

    timeout_s: for any one answer: of a tool of the system, of a peer that is dialled or asked, of an echo;
    what asks for several takes twice as long at most, listening not counted. listen_s: for announcements of
    other peers.
    """

    timeout_s: float = 5.0
    listen_s: float = 2.0


def default_cache_dir() -> Path:
    """`~/.cache/meshinfer`: converted models and this machine's peer identities."""
    return Path.home() / ".cache" / "meshinfer"


def default_config_dir() -> Path:
    """Where the keys of a user's meshes lie: `$XDG_CONFIG_HOME/meshinfer`, or `~/.config/meshinfer`."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "meshinfer"


def default_name() -> str:
    """This machine's host name, cut to what a peer may be called."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname().split(".")[0]).lstrip(".-_")
    return host[:63] or "peer"


USUAL_MESH = "meshinfer"

THUNDERBOLT = "thunderbolt"
"""In place of names of interfaces: each Thunderbolt cable that leads to one machine and no further."""


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """What makes a peer.

    model: a directory, a repository id, or a built-in such as `smollm2`; None follows the mesh.
    dtype: what its floats are cast to, float32, bfloat16 or float16; None leaves them. kv_bits: 2, 3, 4, 6 or
    8, of its KV cache; None keeps floats. adapter: a directory that mlx_lm.lora has written.
    name: what people call this peer; None takes the host name. mesh: peers of other meshes are refused.
    is_open: whether it runs without a key, so that whoever reaches it takes part and reads along; otherwise
    the mesh's key is taken from `config_dir`, and made there if there is none. invite: what `meshinfer key
    show` printed on a machine of the mesh: it names the mesh, its key and peers to reach.
    key_grace_s: once all who are there have a new key of the mesh, the former one is accepted for so long,
    for those that are away.
    listen: `HOST:PORT` for links from peers; port 0 means any. peers: addresses to reach, retried for ever.
    is_mdns_on: announce this peer and look for others on the local network. api: None serves no HTTP.
    memory_bytes: what weights and KV cache may take; None measures. stages: `auto`, `all`, or a number:
    over how many peers the model is spread. min_peers: no first ring is formed before this many are
    present; later ones may have fewer.
    is_download_allowed: whether missing models may be fetched from the network. is_load_on_use_allowed:
    whether a request may have the mesh load a model that lies on a disk of it; nothing is ever downloaded for
    a request.
    fabric: by which means other than TCP activations go where that works, one of `FABRICS`.
    clear_on_cables: by which interfaces long payloads may go in clear, proved all the same, where the other
    peer allows it too: names, or `thunderbolt` for each Thunderbolt cable that leads to one machine.
    planner: a name in `PLANNERS`, or a pure function of your own. membership: the presets `lan`, `large` and
    `test` of `meshinfer.topology.knobs`, or knobs of your own; all peers of a mesh take the same.
    """

    model: str | None = None
    dtype: str | None = None
    kv_bits: int | None = None
    adapter: str | None = None
    name: str | None = None
    mesh: str = USUAL_MESH
    is_open: bool = False
    invite: str | None = field(default=None, repr=False)
    key_grace_s: float = 24 * 3600.0
    listen: str = "127.0.0.1:0"
    peers: tuple[str, ...] = ()
    is_mdns_on: bool = True
    api: ApiConfig | None = None
    memory_bytes: int | None = None
    stages: str | int = "auto"
    min_peers: int = 1
    cache_dir: Path = field(default_factory=default_cache_dir)
    config_dir: Path = field(default_factory=default_config_dir)
    is_download_allowed: bool = True
    is_load_on_use_allowed: bool = True
    fabric: str = "auto"
    clear_on_cables: tuple[str, ...] = ()
    planner: str | Planner = "ring"
    link: LinkLimits = field(default_factory=LinkLimits)
    membership: MembershipKnobs = field(default_factory=lan)
    agreement: AgreementTiming = field(default_factory=AgreementTiming)
    requests: RequestLimits = field(default_factory=RequestLimits)
    haul: HaulTiming = field(default_factory=HaulTiming)
    actors: ActorLimits = field(default_factory=ActorLimits)
    trunks: TrunkLimits = field(default_factory=TrunkLimits)
    fabrics: FabricTiming = field(default_factory=FabricTiming)
    machine: MachineLimits = field(default_factory=MachineLimits)

    def __post_init__(self) -> None:
        if self.name is not None and not NAME.fullmatch(self.name):
            raise ConfigError(f"the peer's name {self.name!r} takes 1 to 63 letters, digits, '.', '_' or '-'")
        if not NAME.fullmatch(self.mesh):
            raise ConfigError(f"the mesh name {self.mesh!r} takes 1 to 63 letters, digits, '.', '_' or '-'")
        if self.is_open and self.invite is not None:
            raise ConfigError("--open runs without a key, and --invite brings one: give one of them")
        parse_host_port(self.listen, "--listen", is_any_port_allowed=True)
        for peer in self.peers:
            parse_host_port(peer, "--peer")
        if self.api is not None and not 0 <= self.api.port <= 65535:
            raise ConfigError(f"--api-port {self.api.port} is no port: 0 (any) to 65535")
        if self.memory_bytes is not None and self.memory_bytes <= 0:
            raise ConfigError(
                f"--memory {self.memory_bytes} bytes is no amount of memory: give gigabytes above 0"
            )
        if self.fabric not in FABRICS:
            raise ConfigError(f"--fabric {self.fabric!r} is none of {', '.join(FABRICS)}")
        if self.is_open and self.clear_on_cables:
            raise ConfigError("--open leaves everything in clear, --clear-on-cables a part: give one of them")
        if "" in self.clear_on_cables:
            raise ConfigError(f"--clear-on-cables takes {THUNDERBOLT}, or names with commas between")
        if THUNDERBOLT in self.clear_on_cables and len(self.clear_on_cables) > 1:
            raise ConfigError(f"--clear-on-cables takes {THUNDERBOLT}, or names of interfaces, not both")
        if isinstance(self.planner, str) and self.planner not in PLANNERS:
            raise ConfigError(f"planner {self.planner!r} is none of {', '.join(sorted(PLANNERS))}")
        if self.min_peers < 1:
            raise ConfigError(f"--min-peers {self.min_peers}: a ring takes at least 1 peer")
        _ = self.spread, self.wanted

    @property
    def wanted(self) -> str | None:
        """The model as `resolve` takes it: with how it is to be run, if that is not as its files say.

        Raises:
            ConfigError: it cannot be run so.
        """
        try:
            variant = Variant(self.dtype or "", self.kv_bits or 0, self.adapter or "")
        except UnsupportedModel as error:
            raise ConfigError(str(error)) from error
        if variant.is_plain:
            return self.model
        if self.model is None or "?" in self.model:
            raise ConfigError(
                f"{variant} says how a model is to be run: name the model too, without a question mark"
            )
        return f"{self.model}?{variant}"

    @property
    def spread(self) -> int:
        """`stages` as the planner takes it."""
        return parse_stages(self.stages)

    @property
    def plan(self) -> Planner:
        """The planner itself."""
        return PLANNERS[self.planner] if isinstance(self.planner, str) else self.planner


def parse_stages(stages: str | int) -> int:
    """Read `auto`, `all` or a number of peers.

    Raises:
        ConfigError: it is none of them.
    """
    text = str(stages)
    if text in ("auto", "all"):
        return SPREAD_AUTO if text == "auto" else SPREAD_ALL
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 1024:
        return int(text)
    raise ConfigError(f"--stages {text!r}: give auto, all, or a number of peers from 1 to 1024")


def parse_host_port(text: str, option: str, is_any_port_allowed: bool = False) -> tuple[str, int]:
    """Read `HOST:PORT`, with IPv6 hosts in brackets.

    Raises:
        ConfigError: it is not of that form; the text names `option`.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    lowest = 0 if is_any_port_allowed else 1
    if not colon or not host or not port.isascii() or not port.isdigit() or not lowest <= int(port) <= 65535:
        raise ConfigError(
            f"{option} {text!r}: give HOST:PORT, such as 192.168.1.4:52414 or [fe80::1%en2]:52414"
        )
    return host, int(port)
