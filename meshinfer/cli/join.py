"""`meshinfer join`: make this machine a peer."""

import errno
import math
import socket
from pathlib import Path
from typing import Annotated

import typer

from meshinfer.config import USUAL_MESH, ApiConfig, PeerConfig, default_cache_dir, default_config_dir
from meshinfer.errors import ConfigError

from .amounts import GIGABYTE
from .greeting import USUAL_API_PORT
from .logs import LOG_FORMAT, LogFormat, show_logs, terminal_for
from .terminal import Terminal, Tone
from .variants import ADAPTER, DTYPE, KV_BITS, adapter_path

EXAMPLES = """\b
Examples:
  meshinfer join --model smollm2
      one machine, one peer; ask it on http://127.0.0.1:52415/v1
  meshinfer join --model mlx-community/Qwen3-4B-4bit --listen 0.0.0.0:52414
      the first machine of a mesh
  meshinfer join --model ./my-model --kv-bits 8 --adapter ./adapters
      nearly twice the context in the same memory, and trained further
  meshinfer join --invite meshinfer1_…
      another one, with the line that `meshinfer key show` prints on it:
      it takes the mesh's model, and its share of the layers
"""

WRONG_USE = 2


def join(
    model: Annotated[
        str | None,
        typer.Option(
            help="What to run: smollm2 (built in), a Hugging Face repository, a directory in mlx-lm's "
            "format, or a GGUF file. Other peers' models run beside it. Without it, whatever the mesh runs."
        ),
    ] = None,
    dtype: Annotated[str | None, DTYPE] = None,
    kv_bits: Annotated[int | None, KV_BITS] = None,
    adapter: Annotated[Path | None, ADAPTER] = None,
    name: Annotated[
        str | None, typer.Option(help="What people call this peer.", show_default="this machine's name")
    ] = None,
    invite: Annotated[
        str | None,
        typer.Option(
            envvar="MESHINFER_INVITE",
            metavar="LINE",
            show_envvar=True,
            help="What `meshinfer key show` prints on a machine of the mesh: its key, and where.",
        ),
    ] = None,
    is_open: Annotated[
        bool,
        typer.Option(
            "--open", help="Run without a key: whoever reaches this peer takes part and reads along."
        ),
    ] = False,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where other peers connect; port 0 takes any free one.",
            show_default="this machine alone; with --invite all its addresses",
        ),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="A peer of the mesh, retried until it answers; repeatable."),
    ] = None,
    mdns: Annotated[
        bool, typer.Option("--mdns/--no-mdns", help="Find peers on the local network, and be found.")
    ] = True,
    api_host: Annotated[str, typer.Option(help="Where the HTTP API listens.")] = "127.0.0.1",
    api_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Its port; 0 takes any free one.",
            show_default=f"{USUAL_API_PORT}, or any if that is taken",
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="MESHINFER_API_KEY",
            metavar="KEY",
            help="What every request must carry; needed where other machines may ask.",
            show_envvar=True,
        ),
    ] = None,
    admin_key: Annotated[
        str | None,
        typer.Option(
            envvar="MESHINFER_ADMIN_KEY",
            metavar="KEY",
            help="With it, other machines may load, unload and drain, and this one needs it too; without, "
            "this one alone may.",
            show_envvar=True,
        ),
    ] = None,
    api_name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name by which the API may be asked; repeatable."),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            metavar="GB", help="Most memory for weights and KV cache.", show_default="what this machine has"
        ),
    ] = None,
    stages: Annotated[
        str,
        typer.Option(
            metavar="auto|all|N",
            help="With --model: over how many peers it is spread: as few as are needed, all, or a number.",
        ),
    ] = "auto",
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where built-in models and peer names are kept.", show_default="~/.cache/meshinfer"
        ),
    ] = None,
    config_dir: Annotated[
        Path | None,
        typer.Option(help="Where the keys of meshes are kept.", show_default="~/.config/meshinfer"),
    ] = None,
    mesh: Annotated[
        str, typer.Option(help="The mesh's name; peers of another mesh are refused.")
    ] = USUAL_MESH,
    min_peers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Form no ring before so many peers are present.")
    ] = 1,
    fabric: Annotated[
        str,
        typer.Option(
            metavar="auto|off|ring|jaccl",
            help="Besides TCP, how activations go: jaccl is RDMA over Thunderbolt, which auto takes where it "
            "is ready and measured to be faster; ring is mlx's own over TCP, to try it elsewhere.",
        ),
    ] = "auto",
    clear_on_cables: Annotated[
        str | None,
        typer.Option(
            metavar="thunderbolt|NAME,…",
            help="Leave activations in clear, though proved to come unchanged, on Thunderbolt cables between "
            "two machines, or on interfaces by name, where both ends allow it. Who taps these reads along.",
            show_default="all is encrypted",
        ),
    ] = None,
    load_on_use: Annotated[
        bool,
        typer.Option(
            "--load-on-use/--no-load-on-use",
            help="Whether a request loads a model that lies on a disk of the mesh.",
        ),
    ] = True,
    offline: Annotated[bool, typer.Option("--offline", help="Download nothing.")] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            metavar="",
            help="Say more; twice, every detail.",
            show_default=False,
        ),
    ] = 0,
    log_format: Annotated[LogFormat, LOG_FORMAT] = LogFormat.TEXT,
    exit_with_parent: Annotated[bool, typer.Option("--exit-with-parent", hidden=True)] = False,
) -> None:
    """Make this machine a peer, until Ctrl-C.

    Peers of one mesh find each other, share a model's layers, and each of them answers requests. The first
    one makes the mesh's key; others join with the invitation that `meshinfer key show` prints there. Nobody
    else takes part or reads along.
    """
    terminal = terminal_for(log_format)
    try:
        config = PeerConfig(
            model=model,
            dtype=dtype,
            kv_bits=kv_bits,
            adapter=adapter_path(adapter),
            name=name,
            mesh=mesh,
            is_open=is_open,
            invite=invite,
            listen=listen or (_everywhere() if invite else "127.0.0.1:0"),
            peers=tuple(peer or ()),
            is_mdns_on=mdns,
            api=ApiConfig(
                api_host,
                usual_or_any(api_host, terminal) if api_port is None else api_port,
                api_key,
                admin_key,
                tuple(api_name or ()),
            ),
            memory_bytes=memory_bytes(memory),
            stages=stages,
            min_peers=min_peers,
            fabric=fabric,
            clear_on_cables=() if clear_on_cables is None else tuple(clear_on_cables.split(",")),
            cache_dir=cache_dir.expanduser() if cache_dir else default_cache_dir(),
            config_dir=config_dir.expanduser() if config_dir else default_config_dir(),
            is_download_allowed=not offline,
            is_load_on_use_allowed=load_on_use,
        )
    except ConfigError as error:
        terminal.say(str(error), Tone.ERROR)
        raise typer.Exit(WRONG_USE) from error

    from .life import run_peer

    show_logs(terminal, verbose)
    if stages != "auto" and model is None:
        told = f"--stages {stages} has no effect without --model"
        terminal.say(f"{told}: the mesh spreads each model as was asked with it", Tone.WARNING)
    raise typer.Exit(run_peer(config, terminal, exits_with_parent=exit_with_parent))


def _everywhere() -> str:
    """All addresses of this machine, as --listen takes them: who is invited is reached by others."""
    return "[::]:0" if socket.has_dualstack_ipv6() else "0.0.0.0:0"


def memory_bytes(gigabytes: float | None) -> int | None:
    """Bytes of --memory.

    Raises:
        ConfigError: it is no amount.
    """
    if gigabytes is None:
        return None
    if not math.isfinite(gigabytes) or gigabytes <= 0:
        raise ConfigError(f"--memory {gigabytes:g}: give gigabytes above 0, such as 16 or 0.5")
    return int(gigabytes * GIGABYTE)


def usual_or_any(host: str, terminal: Terminal) -> int:
    """The port that people expect the API on, or 0 where another process has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers bind: a port that was let go a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, USUAL_API_PORT))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                # Whatever it is, the server says it better.
                return USUAL_API_PORT
            terminal.say(f"port {USUAL_API_PORT} of {host} is taken, the API takes another one")
            return 0
    return USUAL_API_PORT
