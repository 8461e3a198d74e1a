"""Draws the models of a mesh: what there is, where it lies, where it is loaded, and how fast it is."""

from rich.table import Table
from rich.text import Text

from meshinfer.topology.draw.figure import layers_text

from .amounts import size_text
from .mesh_view import MeshView, ModelRow
from .terminal import visible

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


def model_table(view: MeshView, now_s: float) -> Table:
    """One row a model: those that the mesh runs first, then those that only lie on disks.

    now_s: the time of day, in seconds since 1970.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("model", "size", "on disk", "loaded", "tok/s", "last used"):
        is_number = title in ("size", "tok/s", "last used")
        table.add_column(title, no_wrap=is_number, overflow="ellipsis" if is_number else "fold")
    running = {model.name: model for model in view.models}
    for name in [
        *running,
        *sorted({m.name for member in view.members for m in member.on_disk} - set(running)),
    ]:
        model = running.get(name)
        table.add_row(
            visible(name),
            _size(view, name),
            visible(_places(view, name)),
            _loaded(model),
            f"{1e6 / model.token_us:.1f}" if model and model.token_us else "–",
            _ago(now_s - model.used_ms / 1000) if model else "–",
        )
    return table


def _size(view: MeshView, name: str) -> str:
    sizes = [m.size_bytes for member in view.members for m in member.on_disk if m.name == name]
    return size_text(max(sizes)) if sizes else "–"


def _places(view: MeshView, name: str) -> str:
    holders = [each.name for each in view.members if any(m.name == name for m in each.on_disk)]
    if len(holders) == len(view.members) > 1:
        return "everywhere"
    return ", ".join(holders) or "–"


def _loaded(model: ModelRow | None) -> Text:
    if model is None:
        return Text("–")
    if not model.is_live:
        return Text(visible(model.reason), "yellow")
    seats = ", ".join(f"{visible(seat.name)} {layers_text(*seat.layers)}" for seat in model.ring)
    return Text(seats, "green")


def _ago(seconds: float) -> str:
    """`now`, `5 min ago`, `3 h ago`, `2 d ago`: clocks of other machines may be a little ahead."""
    if seconds < _MINUTE_S:
        return "now"
    for unit, unit_s, until_s in (("min", _MINUTE_S, _HOUR_S), ("h", _HOUR_S, _DAY_S)):
        if seconds < until_s:
            return f"{seconds // unit_s:.0f} {unit} ago"
    return f"{seconds // _DAY_S:.0f} d ago"
