"""What a peer holds for itself alone while it lives: its name, its key, its threads and its ports."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshinfer.transports.address import format_address
from meshinfer.transports.base import Address, Datagrams, Listener, Transport
from meshinfer.transports.errors import TransportError
from meshinfer.transports.listen_both import listen_both
from meshinfer.transports.registry import transport_for

from .config import PeerConfig, parse_host_port
from .errors import ConfigError
from .lives import Lives, claim_lives
from .messages import Hello
from .model.arraypool import ArrayPool
from .model.compute import ComputeThread

if TYPE_CHECKING:
    from .guard import Guard
    from .keys.certificates import PeerSecret


@dataclass(frozen=True, slots=True)
class Premises:
    """All of it is open until the stack unwinds that it was opened on.

    config: the peer's settings, with what its invitation says. lives: who it is. guard: keeps strangers out.
    texts: the one thread that may use tokenizers. compute: the one on which mlx computes. files: gets one
    model while another one answers. pool: where activations land. listener, datagrams: where others reach it.
    """

    config: PeerConfig
    lives: Lives
    guard: "Guard"
    texts: ThreadPoolExecutor
    compute: ComputeThread
    files: ComputeThread
    pool: ArrayPool
    transport: Transport
    listener: Listener
    datagrams: Datagrams

    @property
    def address(self) -> Address:
        """Where it takes links, with the port that was really bound."""
        return self.listener.address

    def hello(self) -> Hello:
        """How it greets others in its present life."""
        return self.lives.greeting(self.config.mesh, self.address)

    async def begin_run(self, than: int) -> Hello:
        """Begin another life, its run greater than `than` and on disk; return how it greets in that.

        Raises:
            OSError: it could not be persisted.
        """
        await self.lives.begin_next(than)
        return self.hello()


async def open_premises(config: PeerConfig, stack: AsyncExitStack) -> Premises:
    """Open one after the other; `stack` closes them the other way round, also when one cannot be opened.

    Raises:
        ConfigError: the name is in use on this machine, a directory is not writable, the invitation is torn,
            the key cannot be read or kept, or the address is taken.
    """
    texts = ThreadPoolExecutor(1, "meshinfer-text")
    stack.callback(texts.shutdown, wait=False, cancel_futures=True)
    lives = await asyncio.to_thread(claim_lives, config.cache_dir, config.name)
    stack.callback(lives.release)
    guard = await asyncio.to_thread(_stand_guard, config, lives.secret)
    config = guard.belonging.config
    compute = ComputeThread(f"meshinfer-compute {lives.name}")
    stack.push_async_callback(compute.close, config.actors.stop_timeout_s)
    files = ComputeThread(f"meshinfer-files {lives.name}")
    stack.push_async_callback(files.close, config.actors.stop_timeout_s)
    pool = ArrayPool(compute.post)
    stack.callback(pool.close)
    host, port = parse_host_port(config.listen, "--listen", is_any_port_allowed=True)
    address = format_address("tcp", host, port)
    transport = transport_for(address, config.link, pool, guard.security)
    try:
        listener, unsealed = await listen_both(transport, address, guard.datagram_limits)
    except TransportError as error:
        raise ConfigError(str(error)) from error
    stack.push_async_callback(listener.close)
    datagrams = guard.sealed(unsealed)
    stack.push_async_callback(datagrams.close)
    return Premises(config, lives, guard, texts, compute, files, pool, transport, listener, datagrams)


def _stand_guard(config: PeerConfig, secret: "PeerSecret") -> "Guard":
    # Here, not at the top: it takes a while, and `import meshinfer` needs none of it.
    from .guard import Guard

    return Guard(config, secret)
