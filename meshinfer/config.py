"""Every setting of a peer, with its default and its unit. Checked once, trusted afterwards."""

import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

from meshinfer.topology.agreement import AgreementTiming
from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO
from meshinfer.topology.knobs import MembershipKnobs, lan
from meshinfer.topology.planner import PLANNERS
from meshinfer.transports.base import LinkLimits

from .errors import ConfigError, UnsupportedModel
from .model.variant import Variant
from .scheduling.haul import HaulTiming

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


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
    replay: what is kept for requests that come again.
    """

    host: str = "127.0.0.1"
    port: int = 0
    max_body_bytes: int = 8 << 20
    read_timeout_s: float = 30.0
    write_timeout_s: float = 30.0
    replay: ReplayLimits = field(default_factory=ReplayLimits)


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
    begins no others meanwhile.
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


@dataclass(frozen=True, slots=True)
class ActorLimits:
    """mailbox: messages that wait for an actor.

    max_restarts within restart_window_s: an actor that fails more often ends the peer. restart_delay_s:
    before the first restart, doubling. link_queue: frames that wait for one link; past that it is stalled
    and is closed. stop_timeout_s: how long a peer takes at most to say goodbye.
    leave_timeout_s: how long a peer that leaves waits at most for others to take over its layers.
    seed_retry_s: the longest pause between two attempts to reach a `--peer`.
    hello_timeout_s: a link whose other end has not introduced itself by then is closed.
    stagger_s: of several addresses of one peer each is dialled so long after the one before.
    pulse_s: on a link with nothing to carry, each side shows this often that it is there. silence_s: a link
    on which no byte came for this long is ended: its cable was pulled, or its peer stands still.
    greetings: links that are greeted at once; further ones wait in the listener.
    """

    mailbox: int = 4096
    max_restarts: int = 5
    restart_window_s: float = 60.0
    restart_delay_s: float = 0.1
    link_queue: int = 1024
    stop_timeout_s: float = 5.0
    leave_timeout_s: float = 20.0
    seed_retry_s: float = 5.0
    hello_timeout_s: float = 5.0
    stagger_s: float = 0.25
    pulse_s: float = 0.5
    silence_s: float = 3.0
    greetings: int = 32


def default_cache_dir() -> Path:
    """`~/.cache/meshinfer`: converted models and this machine's peer identities."""
    return Path.home() / ".cache" / "meshinfer"


def default_name() -> str:
    """This machine's host name, cut to what a peer may be called."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname().split(".")[0]).lstrip(".-_")
    return host[:63] or "peer"


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """What makes a peer.

    model: a directory, a repository id, or a built-in such as `smollm2`; None follows the mesh.
    dtype: what its floats are cast to, float32, bfloat16 or float16; None leaves them. kv_bits: 2, 3, 4, 6 or
    8, of its KV cache; None keeps floats. adapter: a directory that mlx_lm.lora has written.
    name: what people call this peer; None takes the host name. mesh: peers of other meshes are refused.
    listen: `HOST:PORT` for links from peers; port 0 means any. peers: addresses to reach, retried for ever.
    is_mdns_on: announce this peer and look for others on the local network. api: None serves no HTTP.
    memory_bytes: what weights and KV cache may take; None measures. stages: `auto`, `all`, or a number:
    over how many peers the model is spread. min_peers: no first ring is formed before this many are
    present; later ones may have fewer.
    is_download_allowed: whether missing models may be fetched from the network. is_load_on_use_allowed:
    whether a request may have the mesh load a model that lies on a disk of it; nothing is ever downloaded for
    a request.
    planner: a name in `PLANNERS`. membership: the presets `lan`, `large` and `test` of
    `meshinfer.topology.knobs`, or knobs of your own; all peers of a mesh take the same.
    """

    model: str | None = None
    dtype: str | None = None
    kv_bits: int | None = None
    adapter: str | None = None
    name: str | None = None
    mesh: str = "meshinfer"
    listen: str = "127.0.0.1:0"
    peers: tuple[str, ...] = ()
    is_mdns_on: bool = True
    api: ApiConfig | None = None
    memory_bytes: int | None = None
    stages: str | int = "auto"
    min_peers: int = 1
    cache_dir: Path = field(default_factory=default_cache_dir)
    is_download_allowed: bool = True
    is_load_on_use_allowed: bool = True
    planner: str = "ring"
    link: LinkLimits = field(default_factory=LinkLimits)
    membership: MembershipKnobs = field(default_factory=lan)
    agreement: AgreementTiming = field(default_factory=AgreementTiming)
    requests: RequestLimits = field(default_factory=RequestLimits)
    haul: HaulTiming = field(default_factory=HaulTiming)
    actors: ActorLimits = field(default_factory=ActorLimits)

    def __post_init__(self) -> None:
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise ConfigError(f"the peer's name {self.name!r} takes 1 to 63 letters, digits, '.', '_' or '-'")
        if not _NAME.fullmatch(self.mesh):
            raise ConfigError(f"the mesh name {self.mesh!r} takes 1 to 63 letters, digits, '.', '_' or '-'")
        parse_host_port(self.listen, "--listen", is_any_port_allowed=True)
        for peer in self.peers:
            parse_host_port(peer, "--peer")
        if self.api is not None and not 0 <= self.api.port <= 65535:
            raise ConfigError(f"--api-port {self.api.port} is no port: 0 (any) to 65535")
        if self.memory_bytes is not None and self.memory_bytes <= 0:
            raise ConfigError(
                f"--memory {self.memory_bytes} bytes is no amount of memory: give gigabytes above 0"
            )
        if self.planner not in PLANNERS:
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
