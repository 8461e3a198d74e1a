"""`meshinfer topology --watch`: the mesh as it changes, until somebody leaves."""

import asyncio
import signal
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .follow import Doing, Follower, Lost, Mesh, News
from .mesh_table import draw, print_drawing
from .mesh_view import MeshView, read_mesh
from .terminal import Terminal, Tone
from .watch_screen import Screen
from .work_lines import work_lines

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of the mesh. model: the one to show, None for all.

    asked, url: who was to tell it, and who does. notice: what is wrong, or empty.
    """

    model: str | None
    view: MeshView | None = None
    asked: str = ""
    url: str = ""
    work: Doing | None = None
    notice: str = ""

    def after(self, news: News) -> "Watched":
        """The same with some news.

        Raises:
            ClientError: the mesh is told in a way that cannot be read, or does not run the model.
        """
        match news:
            case Mesh(body, url):
                work = self.work if url == self.url else None
                # The first who tells is the one that was asked.
                asked, view = self.asked or url, only(read_mesh(body), self.model)
                notice = "" if url == asked else f"{url} tells it now, since {asked} does not answer"
                return replace(self, view=view, asked=asked, url=url, work=work, notice=notice)
            case Doing():
                return replace(self, work=news)
            case Lost(reason):
                return replace(self, work=None, notice=reason)

    def drawing(self, console: "Console") -> "RenderableType":
        """The picture to look at."""
        from rich.console import Group

        if self.view is None:
            return ""
        lines = work_lines(self.work.body, console.width) if self.work else []
        return Group(draw(self.view, console), *lines)


def only(view: MeshView, model: str | None) -> MeshView:
    """The mesh with one of its models alone; None leaves all.

    Raises:
        ClientError: it does not run that one.
    """
    return replace(view, figures=(view.figure(model),)) if model is not None else view


async def watch(follower: Follower, model: str | None, terminal: Terminal) -> None:
    """Show the mesh until Ctrl-C, or q where a person looks; elsewhere print it whenever it changed.

    Raises:
        ClientError: the peer could not be asked at all.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await (_live if terminal.is_live else _printed)(follower, Watched(model), terminal)


async def _live(follower: Follower, watched: Watched, terminal: Terminal) -> None:
    console = terminal.console()
    async with aclosing(follower.news()) as told:
        # Whatever is wrong with the first look is told on the usual screen.
        watched = watched.after(await anext(told))
        with Screen(console, asyncio.get_running_loop()) as screen:
            screen.show(watched.drawing(console), watched.url, watched.notice)
            async for news in told:
                watched = watched.after(news)
                screen.show(watched.drawing(console), watched.url, watched.notice)


async def _printed(follower: Follower, watched: Watched, terminal: Terminal) -> None:
    """Print the mesh again when something changed that stays: how busy it is doesn't."""
    console, shown = terminal.console(), None
    async with aclosing(follower.news()) as told:
        async for news in told:
            before, watched = watched, watched.after(news)
            if watched.notice and watched.notice != before.notice:
                terminal.say(watched.notice, Tone.WARNING)
            if (view := _lasting(watched.view)) != shown and view is not None:
                if shown is not None:
                    terminal.say("")
                shown = view
                print_drawing(console, draw(view, console))


def _lasting(view: MeshView | None) -> MeshView | None:
    if view is None:
        return None
    members = tuple(replace(member, answers=None, tokens_per_s=None) for member in view.members)
    return replace(view, members=members, models=())
