"""`meshinfer trace`: where a request's time went, so that slowness has an address."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from .peer_url import USUAL_URL, url_option
from .terminal import Line, Terminal, Tone

EXAMPLES = """\b
Examples:
  meshinfer trace last
      the latest request of the peer on this machine
  meshinfer trace chatcmpl-5f3a9c… --url http://192.168.1.4:52415
      by the id of an answer, at the peer that was asked
"""

_BAR = 20
_OF_A_PHASE = 2


def trace(
    request: Annotated[
        str, typer.Argument(metavar="REQUEST", help="An answer's id, an X-Request-Id, or last.")
    ] = "last",
    url: Annotated[str, url_option("The API of the peer that was asked.")] = USUAL_URL,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Show where the time of a request went.

    How long it waited, how long each peer computed its prompt and its answer, and what was lost between them.
    Only the peer that was asked knows it, and only for a few hundred requests. Parts of a phase are sums over
    all its frames; of a prompt they may overlap, as its pieces are computed by several peers at once.
    """
    from .client import ClientError, PeerClient

    terminal = Terminal()
    with PeerClient(url) as client:
        try:
            told = client.trace(request)
            lines = [] if as_json else list(trace_lines(told))
        except ClientError as error:
            terminal.say(str(error), Tone.ERROR)
            raise typer.Exit(1) from error
        except (KeyError, TypeError, ValueError) as error:
            terminal.say(f"what answers at {url} is no meshinfer peer of this release: {error}", Tone.ERROR)
            raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    for line in lines:
        terminal.say(line.text, line.tone)


def trace_lines(told: Mapping[str, Any]) -> Iterator[Line]:
    """A trace as a table of at most 80 columns, each phase with its parts below it."""
    whole_ms = float(told["duration_ms"])
    cached = f", {told['cached_tokens']} of them cached" if told["cached_tokens"] else ""
    yield Line(f"{told['request']}: {told['model'] or 'no model'}, {told['outcome'] or 'goes on'}")
    yield Line(
        f"prompt {told['prompt_tokens']} tokens{cached}, answer {told['answer_tokens']} tokens, "
        f"{_time(whole_ms)}",
        Tone.DIM,
    )
    spans = list(told["spans"])
    width = max((len(_place(span)) for span in spans), default=0)
    for span in spans:
        if span["phase"] is not None:
            continue
        yield Line(_row(span, width, whole_ms))
        for part in spans:
            if part["phase"] == span["kind"]:
                yield Line(_row(part, width, whole_ms), Tone.DIM)
    if told["silent"]:
        yield Line(f"{', '.join(told['silent'])}: told nothing, gone or too slow", Tone.WARNING)


def _place(span: Mapping[str, Any]) -> str:
    return str(span["name"] or "between")[:20]


def _row(span: Mapping[str, Any], width: int, whole_ms: float) -> str:
    indent = "" if span["phase"] is None else " " * _OF_A_PHASE
    kind = f"{indent}{span['kind']}"
    text = (
        f"{kind:<10}{_place(span):<{width}}  {_time(span['duration_ms']):>8}  {_bar(span, whole_ms):<{_BAR}}"
    )
    return f"{text}  {_note(span)}".rstrip()


def _bar(span: Mapping[str, Any], whole_ms: float) -> str:
    """A phase where it lies in the whole; a part from where its phase begins."""
    if whole_ms <= 0:
        return ""
    start_ms, took_ms = float(span["start_ms"]), float(span["duration_ms"])
    start, length = min(_BAR - 1, int(_BAR * start_ms / whole_ms)), round(_BAR * took_ms / whole_ms)
    if not length:
        return " " * start + ("·" if took_ms else "")
    return " " * start + "█" * min(length, _BAR - start)


def _note(span: Mapping[str, Any]) -> str:
    """Over how many frames a part is summed, and what one of them took."""
    frames, median_ms = int(span["frames"]), span["median_ms"]
    if not frames:
        return ""
    counted = f"{frames} frame{'s' if frames != 1 else ''}"
    if frames == 1:
        return counted
    if median_ms is None:
        return f"{counted}, {_time(span['duration_ms'] / frames)} each"
    return f"{counted}, median {_time(median_ms)}"


def _time(milliseconds: float) -> str:
    """`0.3 ms`, `45 ms`, `1.24 s`."""
    if milliseconds >= 999.5:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
