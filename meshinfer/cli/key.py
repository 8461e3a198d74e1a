"""`meshinfer key`: the secret by which machines belong to a mesh."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshinfer.config import USUAL_MESH, default_config_dir, is_loopback, parse_host_port
from meshinfer.errors import ConfigError
from meshinfer.key_state import KeyState

from .peer_url import USUAL_URL, url_option
from .rotate import change_line, rotate
from .terminal import Terminal, Tone

if TYPE_CHECKING:
    from meshinfer.keys.keyring import Keyring

EXAMPLES = """\b
Examples:
  meshinfer key show
  meshinfer join --invite "$(ssh desk meshinfer key show)"
  meshinfer key rotate
  meshinfer key rotate --without oldmac
  meshinfer key new --mesh office
"""

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)

_Mesh = Annotated[str, typer.Option("--mesh", help="The mesh's name.")]
_ConfigDir = Annotated[
    Path | None,
    typer.Option("--config-dir", help="Where keys are kept.", show_default="~/.config/meshinfer"),
]


@app.callback()
def key() -> None:
    """Show, make or change the key by which machines belong to a mesh.

    The first `meshinfer join` makes it. Whoever has it takes part and reads along, nobody else.
    """


@app.command()
def show(
    mesh: _Mesh = USUAL_MESH,
    url: Annotated[
        str, url_option("The API of a peer of the mesh, which knows where peers are.")
    ] = USUAL_URL,
    config_dir: _ConfigDir = None,
) -> None:
    """Print an invitation: one line to paste behind `meshinfer join --invite` on another machine.

    It holds the mesh's key: whoever reads it can join. Beside the key it names the mesh and, if a peer of it
    runs here, addresses of peers; without, the other machine looks for them by mDNS. While the mesh changes
    its key it holds the new one, and this says how far the change is.
    """
    from meshinfer.keys.invitation import Invitation
    from meshinfer.keys.keyring import KeyStore

    terminal = Terminal()
    try:
        store = KeyStore(_folder(config_dir))
        keyring = store.read(mesh)
        if keyring is None:
            raise ConfigError(
                f"there is no key of the mesh {mesh} in {store.path(mesh)}: `meshinfer join` makes it, or "
                "`meshinfer key new`"
            )
        addresses = _addresses(mesh, url)
        line = Invitation(mesh, keyring.newest, addresses).to_text()
    except ConfigError as error:
        terminal.say(str(error), Tone.ERROR)
        raise typer.Exit(1) from error
    if not addresses:
        terminal.log(
            f"no peer of the mesh {mesh} answers at {url} whom other machines can reach: this line names "
            "none, so they look for peers by mDNS, or need --peer HOST:PORT",
            Tone.WARNING,
        )
    if change := change_line(_told(mesh, url, keyring.newest.label) or _kept(keyring)):
        terminal.log(change, Tone.WARNING)
    terminal.say(line)


@app.command()
def new(
    mesh: _Mesh = USUAL_MESH,
    force: Annotated[
        bool, typer.Option("--force", help="Forget the key that there is, and so the mesh that it is of.")
    ] = False,
    config_dir: _ConfigDir = None,
) -> None:
    """Make a new key for a mesh; peers that run now keep the former one until they are restarted.

    A machine with another key is none of the mesh any more: all others need an invitation again.
    """
    from meshinfer.keys.keyring import Keyring, KeyStore
    from meshinfer.keys.mesh_key import MeshKey

    terminal = Terminal()
    try:
        store = KeyStore(_folder(config_dir))
        made = MeshKey.draw()
        with store.locked(mesh):
            is_replaced = store.path(mesh).exists()
            if is_replaced and not force:
                raise ConfigError(
                    f"there is a key of the mesh {mesh} already, in {store.path(mesh)}: --force forgets it, "
                    "and all machines need an invitation again"
                )
            store.write(mesh, Keyring(made))
    except ConfigError as error:
        terminal.say(str(error), Tone.ERROR)
        raise typer.Exit(1) from error
    terminal.say(f"the mesh {mesh} has a new key (label {made.label}): `meshinfer key show` invites others")
    if is_replaced:
        terminal.say(
            f"peers of the mesh {mesh} that run now keep the former key until they are restarted, on this "
            "machine too: stop them all if others know it",
            Tone.WARNING,
        )


app.command()(rotate)


def _kept(keyring: "Keyring") -> KeyState:
    """How a change was when it was kept last, as nobody tells how it is now."""
    if keyring.change is None:
        return KeyState(keyring.newest.label)
    return KeyState(keyring.newest.label, keyring.change.former.label, is_used=False)


def _told(mesh: str, url: str, label: str) -> KeyState | None:
    """How a change is by a running peer of the mesh, whose newest key has this label; None without one."""
    from .client import ClientError, PeerClient

    try:
        with PeerClient(url) as client:
            state = client.key()
            is_ours = client.mesh().get("mesh") == mesh and state.label == label
    except ClientError:
        return None
    return state if is_ours else None


def _folder(config_dir: Path | None) -> Path:
    return config_dir.expanduser() if config_dir else default_config_dir()


def _addresses(mesh: str, url: str) -> tuple[str, ...]:
    """`HOST:PORT` of the peers that a running one knows and other machines can reach.

    Raises:
        ConfigError: the one that runs is open, so that its mesh has no key.
    """
    from .client import ClientError, PeerClient
    from .mesh_view import read_mesh

    try:
        with PeerClient(url) as client:
            body = client.mesh()
        seen = read_mesh(body)
    except ClientError:
        return ()
    if seen.mesh != mesh:
        return ()
    if seen.is_open:
        raise ConfigError(f"the peer at {url} runs open, without a key: restart its mesh without --open")
    found = [str(each).partition("://")[2] for member in body["members"] for each in member["addresses"]]
    return tuple(each for each in found if not is_loopback(parse_host_port(each, "its address")[0]))
