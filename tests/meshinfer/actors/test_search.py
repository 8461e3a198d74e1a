"""Where a model is looked for, and in which order; the test is the disk, the hub and the other peers."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from meshinfer.actors.mail import LocalModel
from meshinfer.actors.porter import BringBlueprint
from meshinfer.actors.search import Search
from meshinfer.errors import ModelError, ModelMismatch, UnknownModel
from meshinfer.model.base import ModelFiles
from meshinfer.topology.desire import SPREAD_AUTO, DesiredModel
from tests.meshinfer.actors.mailbag import A
from tests.meshinfer.actors.test_placement import CARD

MODEL = LocalModel(ModelFiles("tiny", "hf:org/tiny@1", Path("/tiny")), CARD, cast(Any, None))
OTHER = replace(MODEL, card=replace(CARD, fingerprint="0" * 32))
DESIRED = DesiredModel(0, 1, A, "tiny", "hf:org/tiny@1", CARD.fingerprint, SPREAD_AUTO)


class Places:
    """disk, hub: what is found there; None where it is unknown. peers: the blueprint that one gives."""

    def __init__(
        self, *, disk: LocalModel | None = None, hub: LocalModel | None = None, peers: bytes | None = None
    ) -> None:
        self.disk, self.hub, self.peers = disk, hub, peers
        self.looked: list[str] = []
        self.own: set[str] = set()
        self.search = Search(self.fetch, self.receive, self, self.own.__contains__)

    async def fetch(self, wanted: str, is_download_allowed: bool) -> LocalModel:
        self.looked.append("hub" if is_download_allowed else "disk")
        found = self.disk or (self.hub if is_download_allowed else None)
        if found is None:
            raise UnknownModel(f"there is no {wanted}")
        return found

    async def receive(self, blueprint: bytes, desired: DesiredModel) -> LocalModel:
        assert blueprint == self.peers
        return MODEL

    async def tell(self, message: BringBlueprint) -> None:
        self.looked.append("peers")
        message.done.answer(self.peers)

    def offer(self, message: BringBlueprint) -> bool:
        raise AssertionError("it has to be told")


async def test_what_lies_on_this_disk_is_taken() -> None:
    places = Places(disk=MODEL, peers=b"blueprint")
    assert await places.search.find(DESIRED) == MODEL
    assert places.looked == ["disk"]


@pytest.mark.parametrize("disk", [None, OTHER])
async def test_other_peers_are_asked_before_the_hub(disk: LocalModel | None) -> None:
    places = Places(disk=disk, hub=MODEL, peers=b"blueprint")
    assert await places.search.find(DESIRED) == MODEL
    assert places.looked == ["disk", "peers"]


async def test_the_hub_is_asked_last_and_only_where_that_is_allowed() -> None:
    places = Places(hub=MODEL)
    assert await places.search.find(DESIRED) == MODEL
    assert places.looked == ["disk", "peers", "hub"]
    with pytest.raises(UnknownModel, match="there is no hf:org/tiny"):
        await places.search.find(replace(DESIRED, is_download_allowed=False))


@pytest.mark.parametrize("places", [Places(disk=OTHER), Places(hub=OTHER)], ids=["disk", "hub"])
async def test_other_content_from_the_same_place_is_refused_by_name(places: Places) -> None:
    with pytest.raises(ModelMismatch, match="hf:org/tiny@1 is something else here"):
        await places.search.find(DESIRED)


async def test_a_directory_of_another_machine_wants_a_peer_that_has_it_or_a_copy() -> None:
    with pytest.raises(ModelError, match="start this peer with --model DIRECTORY"):
        await Places().search.find(replace(DESIRED, source="dir:/there", is_download_allowed=False))


async def test_what_others_ask_for_never_says_where_this_peer_reads() -> None:
    places, theirs = Places(disk=MODEL), replace(DESIRED, source="dir:/there")
    with pytest.raises(UnknownModel):
        await places.search.find(theirs)
    assert places.looked == ["peers"]
    # Its own user has named the place.
    places.own.add(theirs.source)
    assert await places.search.find(theirs) == MODEL
