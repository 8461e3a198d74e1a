"""What the peer that is asked does right now, in a line or two: its answers, and what it brings or gives."""

from typing import Any

from rich.text import Text

from .amounts import size_text
from .bars import FULL, REST
from .terminal import visible

_BAR = 20


def work_lines(work: dict[str, Any], width: int) -> list[Text]:
    """Lines for the data of a `work` event; none while nothing is done. width: columns of the screen."""
    lines = [*_answers(work), *(_transfer(each, width) for each in work.get("transfers") or [])]
    return [Text(""), *lines] if lines else []


def _answers(work: dict[str, Any]) -> list[Text]:
    answers, waiting = int(work.get("answers") or 0), int(work.get("waiting") or 0)
    if not answers and not waiting:
        return []
    parts = [f"{answers} answer{'s' if answers != 1 else ''} being written"]
    if waiting:
        parts.append(f"{waiting} waiting")
    for name, does in (("answer_tokens_per_s", "written"), ("prompt_tokens_per_s", "read")):
        if rate := float(work.get(name) or 0):
            parts.append(f"{rate:.3g} tokens/s {does}")
    return [Text.assemble((visible(str(work.get("name") or "this peer")), "bold"), f": {', '.join(parts)}")]


def _transfer(transfer: dict[str, Any], width: int) -> Text:
    done_bytes, total_bytes = int(transfer.get("done_bytes") or 0), int(transfer.get("total_bytes") or 0)
    what = visible(str(transfer.get("what") or "transfer"))
    if total_bytes <= 0:
        return Text(f"{what}, {size_text(done_bytes)}", "yellow")
    cells = min(_BAR, max(0, width - len(what) - 24))
    full = min(cells, cells * done_bytes // total_bytes)
    return Text.assemble(
        (f"{what}  ", "yellow"),
        (FULL * full, "yellow"),
        (REST * (cells - full), "dim"),
        f"  {size_text(done_bytes)} of {size_text(total_bytes)}",
    )
