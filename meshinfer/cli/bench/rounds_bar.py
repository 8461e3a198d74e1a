"""How far a benchmark is: a bar on a terminal; elsewhere the lines between say enough."""

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from meshinfer.cli.terminal import Terminal


class RoundsBar:
    """Counts rounds. Leave it, and the bar is gone."""

    def __init__(self, terminal: Terminal, total: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("rounds"),
            TimeElapsedColumn(),
            # Lines that go to this same terminal are put above the bar.
            console=terminal.console(),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not terminal.is_interactive,
        )
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, what: str) -> None:
        """Name what goes on."""
        self._progress.update(self._task, description=what)

    def advance(self, rounds: int) -> None:
        """So many rounds more are done; fewer than nothing takes some back."""
        self._progress.advance(self._task, rounds)
