"""A ring as a Mermaid flowchart, for Markdown: GitHub, GitLab and many wikis draw it."""

from meshinfer.topology.shortfall import size_text

from .figure import Figure, Seat, layers_text, plain, way_text

_SPECIAL = {ord(character): f"#{ord(character)};" for character in '"#<>&`*_[]{}()|\\;'}
"""What Mermaid or its Markdown would take for its own: entity codes show it as it is."""


def mermaid(figure: Figure) -> str:
    """The whole chart, one line a peer and one a way."""
    lines = ["flowchart LR"]
    lines += [f'    p{place}["{_label(seat)}"]' for place, seat in enumerate(figure.seats)]
    for place, way in enumerate(figure.ways):
        is_last = place == len(figure.ways) - 1
        told = way_text(way)
        # Back to the head goes the token alone.
        label = ("token " + told).strip() if is_last else told
        arrow = "-.->" if is_last else "-->"
        lines.append(
            f"    p{place} {arrow}{f'|{label}|' if label else ''} p{(place + 1) % len(figure.seats)}"
        )
    for number, spare in enumerate(figure.spares):
        lines.append(f'    s{number}("{_escaped(spare.name)}<br/>{_escaped(spare.state)}")')
        lines.append(f"    style s{number} stroke-dasharray: 4 4")
    if not figure.seats and not figure.spares:
        lines.append(f'    none["{_escaped(figure.headline)}"]')
    return "\n".join(lines) + "\n"


def _label(seat: Seat) -> str:
    first, end = seat.layers
    what = "layer" if end - first == 1 else "layers"
    memory = (
        f"{size_text(seat.taken_bytes)} of {size_text(seat.memory_bytes)}"
        if seat.taken_bytes
        else size_text(seat.memory_bytes)
    )
    lines = (_escaped(seat.name), f"{what} {layers_text(first, end)}", memory, _escaped(seat.state))
    return "<br/>".join(lines)


def _escaped(text: str) -> str:
    return plain(text).translate(_SPECIAL)
