from dataclasses import replace

import pytest
from rich.console import Console

from meshinfer.cli.client import ClientError
from meshinfer.cli.follow import Doing, Lost, Mesh
from meshinfer.cli.watch import Watched, only
from meshinfer.snapshot import mesh_json

from .snapshots import plan, seen
from .views import mesh, ring

BODY = mesh_json(seen(plan=plan(), is_live=True).mesh)
A, B = "http://a:1", "http://b:2"


def test_news_add_up_to_what_is_known() -> None:
    known = Watched(None).after(Mesh(BODY, A)).after(Doing({"answers": 1, "name": "mac-a"}))
    assert known.view is not None
    assert (known.url, known.notice) == (A, "")
    assert known.work == Doing({"answers": 1, "name": "mac-a"})
    console = Console(width=80)
    with console.capture() as captured:
        console.print(known.drawing(console))
    assert "mac-a: 1 answer being written" in captured.get()


def test_whoever_tells_in_place_of_the_asked_peer_is_named() -> None:
    lost = Watched(None).after(Mesh(BODY, A)).after(Doing({})).after(Lost("a is gone"))
    assert (lost.notice, lost.work) == ("a is gone", None)
    assert lost.view is not None
    other = lost.after(Mesh(BODY, B))
    assert other.notice == f"{B} tells it now, since {A} does not answer"
    assert other.after(Mesh(BODY, A)).notice == ""


def test_one_model_is_shown_alone() -> None:
    view = mesh(ring(2), ring(1, "tiny", 4))
    assert only(view, None) == view
    assert only(view, "tiny") == replace(view, figures=(view.figures[1],))
    with pytest.raises(ClientError, match="not big"):
        only(view, "big")
