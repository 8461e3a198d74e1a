"""A report as a table for people, and the lines below it."""

from rich.table import Table

from meshinfer.cli.amounts import GIGABYTE, size_text
from meshinfer.cli.terminal import visible
from meshinfer.topology.draw.figure import layers_text

from .figures import Figures, Report, RingRun
from .texts import count_text, length_text, number_text, place_text

_CASE = ("prompt", "readers", "peers")
_FIGURES = ("first token s", "prefill tok/s", "decode tok/s", "memory GB", "watts", "J per token")
_RATIOS = ("first ×", "decode ×")

_NARROW = 90
"""On fewer columns titles stand closer. They wrap where they must; figures, one word each, never do."""


def draw_table(report: Report, width: int) -> Table:
    """A row a case, in `width` columns of the terminal.

    Those that differ in their ring alone stand together, with how many times the first of them.
    """
    is_comparing = len(report.rings) > 1
    padding = (0, 1 if width < _NARROW else 2, 0, 0)
    table = Table(box=None, pad_edge=False, padding=padding, header_style="bold")
    for title in (*_CASE, *_FIGURES, *(_RATIOS if is_comparing else ())):
        table.add_column(title, justify="right")
    for prompt_tokens in report.setting.prompts:
        for readers in report.setting.readers:
            cases = [(ring.peers, ring.case(prompt_tokens, readers)) for ring in report.rings]
            measured = [(peers, case.figures) for peers, case in cases if case is not None]
            for peers, figures in measured:
                ratios = _ratios(figures, measured[0][1]) if is_comparing else ()
                table.add_row(str(prompt_tokens), str(readers), str(peers), *_cells(figures), *ratios)
    return table


def _cells(figures: Figures) -> tuple[str, ...]:
    memory = figures.most_memory_bytes
    return (
        number_text(figures.first_token_s),
        number_text(figures.prefill_tokens_per_s),
        number_text(figures.decode_tokens_per_s),
        number_text(memory / GIGABYTE if memory is not None else None),
        number_text(figures.watts),
        number_text(figures.joules_per_token),
    )


def _ratios(figures: Figures, base: Figures) -> tuple[str, ...]:
    """How many times as fast as the first ring; more is better in both."""
    first = _ratio(base.first_token_s, figures.first_token_s)
    decode = _ratio(figures.decode_tokens_per_s, base.decode_tokens_per_s)
    return number_text(first), number_text(decode)


def _ratio(amount: float | None, base: float | None) -> float | None:
    return amount / base if amount is not None and base else None


def notes(report: Report) -> list[str]:
    """What the table leaves out: who held what, what the columns mean here, and why a figure is missing."""
    lines = [_ring_note(ring) for ring in report.rings]
    lines.append(f"{visible(report.model)}: {length_text(report.setting)}; {place_text(report)}")
    lines.append("several readers' tok/s are of all of them together; memory is of the peer that takes most")
    if any(seat.name not in ring.memory for ring in report.rings for seat in ring.seats):
        lines.append("memory: only of peers whose API can be reached from here (--api-host)")
    if report.power:
        lines.append(f"watts: of this machine alone ({report.power}), whichever peers run on it")
    else:
        lines.append(f"watts: not readable here: {report.no_power}")
    return lines


def _ring_note(ring: RingRun) -> str:
    """`2 peers: desk layers 0–18, 536 MB → shelf layers 19–29, 422 MB`."""
    memory = ring.memory
    stages = []
    for seat in ring.seats:
        size_bytes = memory.get(seat.name)
        size = f", {size_text(size_bytes)}" if size_bytes is not None else ""
        stages.append(f"{visible(seat.name)} layers {layers_text(*seat.layers)}{size}")
    return f"{count_text(ring.peers, 'peer')}: {' → '.join(stages)}"
