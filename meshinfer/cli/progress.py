"""Long work as a person follows it: a bar on a terminal, a few lines elsewhere."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from meshinfer.snapshot import Activity

from .amounts import size_text
from .terminal import Terminal, Tone, visible

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_QUARTERS = 4


class Milestones:
    """Chooses which steps of an activity deserve a line: its start, and each quarter that was done."""

    def __init__(self) -> None:
        self._told: tuple[object, int] = ("", 0)

    def line(self, activity: Activity) -> str | None:
        """The line for this step, None if nothing new is worth one."""
        total = activity.total_bytes
        quarter = _QUARTERS * activity.done_bytes // total if total else 0
        # Where the total is known, `what` changes with every layer.
        told = (total or activity.what, quarter)
        if told == self._told:
            return None
        self._told = told
        if not total:
            return f"{activity.what}…"
        return f"{activity.what}: {size_text(activity.done_bytes)} of {size_text(total)}"


class ProgressDisplay:
    """Shows whichever activity it was told of last. Leave it, and the bar is gone."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._milestones = Milestones()
        self._bar: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def show(self, activity: Activity | None) -> None:
        """Draw an activity, or take its bar away when there is none."""
        if not self._terminal.is_interactive:
            if activity is not None and (line := self._milestones.line(activity)) is not None:
                self._terminal.say(line, Tone.DIM)
            return
        if activity is None:
            self._close()
            return
        if self._bar is None:
            self._bar = self._open(activity)
        progress, task = self._bar
        progress.update(
            task,
            description=visible(activity.what),
            completed=activity.done_bytes,
            total=activity.total_bytes or None,
        )

    def _open(self, activity: Activity) -> "tuple[Progress, TaskID]":
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TimeRemainingColumn(compact=True),
            console=self._terminal.console(),
            transient=True,
            # Lines that go to this same terminal are put above the bar; a redirected stderr stays so.
            redirect_stderr=sys.stderr.isatty(),
        )
        progress.start()
        return progress, progress.add_task(visible(activity.what), total=activity.total_bytes or None)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None
