"""A peer's life in a terminal: it joins, tells what happens, and leaves when it is asked to."""

import asyncio
from collections.abc import Awaitable, Callable

from meshinfer.config import PeerConfig
from meshinfer.errors import ConfigError
from meshinfer.machine.interfaces import reachable_addresses
from meshinfer.peer import Peer

from .greeting import KeyNews, greeting, network_story
from .leaving import Leaving, on_signals, until_parent_is_gone
from .progress import ProgressDisplay
from .story import changes
from .terminal import Terminal, Tone

FAILED = 1

_GLANCE_S = 0.2


def run_peer(config: PeerConfig, terminal: Terminal, *, exits_with_parent: bool) -> int:
    """Run a peer until it is told to leave; return the process's exit status."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_live_until_asked(config, terminal, exits_with_parent))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        # There are machines without a wheel of it.
        return None
    new_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return new_loop


async def _live_until_asked(config: PeerConfig, terminal: Terminal, exits_with_parent: bool) -> int:
    async with asyncio.TaskGroup() as group:
        asked = asyncio.Event()
        life = group.create_task(_live(config, terminal, asked))
        leaving = Leaving(life, terminal)
        reasons = [asked.wait(), *([until_parent_is_gone()] if exits_with_parent else [])]
        with on_signals(leaving.signalled):
            followers = [group.create_task(_leave_after(reason, leaving)) for reason in reasons]
            await asyncio.wait([life])
            for follower in followers:
                follower.cancel()
    return 0 if life.cancelled() else life.result()


async def _leave_after(reason: Awaitable[object], leaving: Leaving) -> None:
    await reason
    leaving.ask()


async def _live(config: PeerConfig, terminal: Terminal, asked: asyncio.Event) -> int:
    """Be a peer until cancelled, or until it fails. asked: set when the peer was asked to leave."""
    try:
        async with Peer(config) as peer, asyncio.TaskGroup() as group:
            terminal.introduce(peer.name)
            teller = group.create_task(_tell(peer, terminal))
            try:
                await peer.wait()
                asked.set()
                # One way of leaving for all who ask: this task is cancelled.
                await asyncio.Event().wait()
            except ExceptionGroup as failed:
                terminal.say(f"this peer failed and ends: {_cause(failed)}", Tone.ERROR)
                teller.cancel()
    except ConfigError as error:
        terminal.say(str(error), Tone.ERROR)
    return FAILED


async def _tell(peer: Peer, terminal: Terminal) -> None:
    for line in greeting(peer.name, peer.address, peer.api_url, _key_news(peer, terminal)):
        terminal.say(line.text, line.tone)
    before, network = None, ""
    with ProgressDisplay(terminal) as progress:
        async for snapshot in peer.watch():
            for line in changes(before, snapshot):
                terminal.say(line.text, line.tone)
            if (story := network_story(peer.address, peer.machine)) is not None and story.text != network:
                network = story.text
                terminal.say(story.text, story.tone)
            progress.show(snapshot.activity)
            before = snapshot
            # Nobody reads what lasts for less; what happens meanwhile is in the next snapshot.
            await asyncio.sleep(_GLANCE_S)


def _key_news(peer: Peer, terminal: Terminal) -> KeyNews:
    belonging = peer.belonging
    # What is not shown to a person lands in a log, and an invitation is a secret.
    is_shown = belonging.is_new and terminal.is_interactive
    invitation = belonging.invitation(reachable_addresses(peer.address)) if is_shown else ""
    label = "" if belonging.keyring is None else belonging.label
    return KeyNews(label, invitation, belonging.former)


def _cause(group: BaseException) -> str:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return f"{type(group).__name__}: {group}"
