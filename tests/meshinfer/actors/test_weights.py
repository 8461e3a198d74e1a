import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from meshinfer.actors.actor import Mailbox, Reply
from meshinfer.actors.mail import Desire, LocalModel, ModelHere, ModelsHere, Obtain, Unusable, ViewChanged
from meshinfer.actors.weights import Weights, Wish
from meshinfer.errors import UnknownModel
from meshinfer.model.base import ModelCard, ModelFiles
from meshinfer.model.local import fetch_blueprint
from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO, DesiredModel
from meshinfer.topology.member import Member, Status
from meshinfer.topology.record import DiskModel, PeerRecord, Version
from meshinfer.topology.ring import Run
from tests.meshinfer.actors.mailbag import A, B, Living, bag, next_of, tapped_log
from tests.tiny import make_tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    path = make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    return LocalModel(*fetch_blueprint(str(path), path, False, lambda *_: None))


def like(model: LocalModel, *, name: str = "tiny", source: str, fingerprint: str) -> LocalModel:
    """The same files under another name, from another place, as if their content were another."""
    files = ModelFiles(name, source, model.files.path)
    card: ModelCard = replace(model.card, name=name, source=source, fingerprint=fingerprint)
    return LocalModel(files, card, model.tokenizer)


class Bench:
    """A weights actor, and a shop where its models come from."""

    def __init__(self, shop: Mapping[str, LocalModel], wished: str | None, spread: int = SPREAD_AUTO) -> None:
        self.fetched: list[str] = []
        self.found: list[str] = []
        self.may_go_on = asyncio.Event()
        self.on_disk: tuple[DiskModel, ...] = ()
        self.membership: Mailbox[Desire] = bag("membership")
        self.placement: Mailbox[ModelsHere] = bag("placement")

        async def fetch(wanted: str, is_download_allowed: bool) -> LocalModel:
            self.fetched.append(wanted)
            if wanted not in shop:
                raise UnknownModel(f"there is no {wanted}")
            return shop[wanted]

        async def find(desired: DesiredModel) -> LocalModel:
            self.found.append(desired.name)
            return await fetch(desired.source, desired.is_download_allowed)

        self.weights = Weights(
            bag("weights"),
            wish=Wish(A, wished, spread, created_ms=1000),
            fetch=fetch,
            find=find,
            list_models=self.list_models,
            pause=self.pause,
            membership=self.membership,
            placement=self.placement,
        )

    async def pause(self, _: float) -> None:
        await self.may_go_on.wait()
        # Once: the rest of what waits now and then waits for ever.
        self.may_go_on = asyncio.Event()

    async def list_models(self) -> tuple[DiskModel, ...]:
        return self.on_disk

    async def view(self, *desires: DesiredModel) -> None:
        await self.weights.mailbox.tell(ViewChanged((), desires))

    async def all_here(self) -> tuple[ModelHere, ...]:
        """What placement is told once nothing is on its way."""
        while True:
            told = await next_of(self.placement, ModelsHere)
            if told.models and not any(here.fetching for here in told.models):
                return told.models

    async def here(self) -> ModelHere:
        """The same of the only model."""
        (here,) = await self.all_here()
        return here


def desired_of(model: LocalModel, spread: int = SPREAD_AUTO) -> DesiredModel:
    card = model.card
    return DesiredModel(0, 500, B, card.name, card.source, card.fingerprint, spread)


async def test_the_first_peer_tells_the_mesh_what_to_run(tiny: LocalModel) -> None:
    bench = Bench({"./tiny": tiny}, "./tiny", SPREAD_ALL)
    async with Living(bench.weights):
        assert await bench.here() == ModelHere("tiny", tiny)
        desire = await next_of(bench.membership, Desire)
    assert desire.model == replace(desired_of(tiny, SPREAD_ALL), by=A, created_ms=1000)


async def test_a_model_that_cannot_be_had_is_the_peers_fault_text() -> None:
    bench = Bench({}, "tyni")
    with tapped_log() as log:
        async with Living(bench.weights):
            assert await bench.here() == ModelHere("tyni", None, "there is no tyni")
            await log.line_with("there is no tyni")


async def test_a_peer_without_a_wish_gets_what_the_mesh_runs_under_the_meshs_name(tiny: LocalModel) -> None:
    there = like(tiny, name="tiny", source="pypi:tiny:q4", fingerprint="f" * 32)
    in_shop = like(tiny, name="tiny-q4", source="pypi:tiny:q4", fingerprint="f" * 32)
    bench = Bench({"pypi:tiny:q4": in_shop}, None)
    async with Living(bench.weights):
        await bench.view(desired_of(there))
        model = (await bench.here()).model
    assert model is not None
    assert model.files.name == model.card.name == "tiny"


async def test_an_alias_that_means_other_files_here_follows_the_mesh(tiny: LocalModel) -> None:
    mine = like(tiny, source="pypi:tiny:float32", fingerprint="a" * 32)
    theirs = like(tiny, source="pypi:tiny:q4", fingerprint="b" * 32)
    bench = Bench({"tiny": mine, "pypi:tiny:q4": theirs}, "tiny")
    async with Living(bench.weights):
        assert (await bench.here()).model == mine
        await bench.view(desired_of(theirs))
        assert await bench.here() == ModelHere("tiny", theirs)
    assert bench.fetched == ["tiny", "pypi:tiny:q4"]


async def test_a_directory_of_the_same_name_and_other_content_is_refused_naming_both(
    tiny: LocalModel,
) -> None:
    mine = like(tiny, source="dir:/mine", fingerprint="a" * 32)
    theirs = like(tiny, source="dir:/theirs", fingerprint="b" * 32)
    bench = Bench({"/mine": mine}, "/mine")
    async with Living(bench.weights):
        await bench.here()
        await bench.view(desired_of(theirs))
        fault = (await bench.here()).fault
    for words in ("differs", "aaaaaaaa", "dir:/mine", "bbbbbbbb", "dir:/theirs"):
        assert words in fault
    assert bench.fetched == ["/mine"]


async def test_another_model_than_the_meshs_runs_beside_it(tiny: LocalModel) -> None:
    other = like(tiny, name="other", source="pypi:other", fingerprint="c" * 32)
    bench = Bench({"other": other, tiny.files.source: tiny}, "other")
    running = desired_of(tiny)
    async with Living(bench.weights):
        await bench.view(running)
        asked = (await next_of(bench.membership, Desire)).model
        assert (asked.name, asked.fingerprint, asked.by, asked.revision) == ("other", "c" * 32, A, 0)
        await bench.view(running, asked)
        while len(here := await bench.all_here()) < 2 or here[0].model is None:
            pass
    assert here == (ModelHere("tiny", tiny), ModelHere("other", other))


async def test_a_model_that_cannot_be_had_is_no_obstacle_to_the_others(tiny: LocalModel) -> None:
    bench = Bench({tiny.files.source: tiny}, None)
    lost = replace(desired_of(tiny), name="lost", source="hf:lost@1", fingerprint="c" * 32, created_ms=600)
    async with Living(bench.weights):
        await bench.view(desired_of(tiny), lost)
        here = await bench.all_here()
    assert here == (ModelHere("tiny", tiny), ModelHere("lost", None, "there is no hf:lost@1"))


async def test_what_was_taken_back_before_this_peer_started_is_asked_for_again(tiny: LocalModel) -> None:
    bench = Bench({"./tiny": tiny}, "./tiny")
    gone = replace(desired_of(tiny), revision=1, created_ms=900, is_wanted=False)
    async with Living(bench.weights):
        await bench.view(gone)
        asked = (await next_of(bench.membership, Desire)).model
    assert (asked.revision, asked.is_wanted, asked.created_ms) == (2, True, 1000)


async def test_what_is_taken_back_while_this_peer_runs_stays_so_and_is_let_go(tiny: LocalModel) -> None:
    bench = Bench({"./tiny": tiny}, "./tiny")
    async with Living(bench.weights):
        await bench.here()
        asked = (await next_of(bench.membership, Desire)).model
        await bench.view(asked)
        told = await next_of(bench.placement, ModelsHere)
        assert told.started_with == tiny.card.fingerprint
        await bench.view(replace(asked, revision=1, created_ms=500, is_wanted=False))
        told = await next_of(bench.placement, ModelsHere)
    assert (told.models, told.started_with) == ((), "")
    assert len(bench.membership) == 0


async def test_files_are_got_for_a_load_and_errors_come_back(tiny: LocalModel) -> None:
    bench = Bench({"./tiny": tiny}, None)
    got: Reply[LocalModel] = Reply()
    missing: Reply[LocalModel] = Reply()
    async with Living(bench.weights):
        await bench.weights.mailbox.tell(Obtain("./tiny", True, got))
        await bench.weights.mailbox.tell(Obtain("tyni", False, missing))
        assert await got.wait(10) == tiny
        with pytest.raises(UnknownModel, match="there is no tyni"):
            await missing.wait(10)
        # Nobody asked the mesh to run it.
        assert (await next_of(bench.placement, ModelsHere)).models == ()


async def test_what_lies_on_this_machines_disk_is_told_and_what_was_read_too(tiny: LocalModel) -> None:
    bench = Bench({"./tiny": tiny}, "./tiny")
    bench.on_disk = (DiskModel("big", "hf:big@1", 10**9),)
    async with Living(bench.weights):
        while len(told := (await next_of(bench.placement, ModelsHere)).on_disk) < 2:
            pass
    assert told == (
        DiskModel("big", "hf:big@1", 10**9),
        DiskModel("tiny", tiny.card.source, tiny.card.total_bytes),
    )


async def test_files_that_do_not_load_are_not_tried_for_ever(tiny: LocalModel) -> None:
    bench = Bench({"./tiny": tiny}, "./tiny")
    async with Living(bench.weights):
        await bench.here()
        await bench.view(desired_of(tiny))
        await bench.weights.mailbox.tell(Unusable(tiny.card.fingerprint, "layer 3 is torn"))
        while (here := await bench.here()).model is not None:
            pass
    assert here == ModelHere("tiny", None, "this peer cannot load its layers: layer 3 is torn")
    assert bench.fetched == ["./tiny"]


async def test_a_spread_that_is_not_followed_is_said(tiny: LocalModel) -> None:
    bench = Bench({"./tiny": tiny}, "./tiny", spread=3)
    with tapped_log() as log:
        async with Living(bench.weights):
            await bench.view(desired_of(tiny, SPREAD_ALL))
            await log.line_with("--stages all, as was asked first; --stages 3 of this peer is not used")


async def test_a_directory_of_another_machine_is_taken_where_the_same_lies_here(tiny: LocalModel) -> None:
    bench = Bench({tiny.card.source: tiny}, None)
    async with Living(bench.weights):
        await bench.view(desired_of(tiny))
        assert await bench.here() == ModelHere("tiny", tiny)


async def test_what_cannot_be_found_is_looked_for_again_once_somebody_comes_who_knows_it(
    tiny: LocalModel,
) -> None:
    shop: dict[str, LocalModel] = {}
    bench = Bench(shop, None)
    desired = desired_of(tiny)
    async with Living(bench.weights):
        await bench.view(desired)
        assert "there is no" in (await bench.here()).fault
        shop[desired.source] = tiny
        record = PeerRecord(
            B, Run(1), Version(0), "peer-b", "0.1", (), "", 1, models=(tiny.card.fingerprint,)
        )
        await bench.weights.mailbox.tell(ViewChanged((Member(record, Status.ALIVE),), (desired,)))
        assert (await bench.here()).model == tiny
        assert bench.found == ["tiny", "tiny"]


async def test_layers_that_could_not_be_brought_are_tried_again_after_a_while(tiny: LocalModel) -> None:
    bench = Bench({tiny.card.source: tiny}, None)
    async with Living(bench.weights):
        await bench.view(desired_of(tiny))
        assert (await bench.here()).model == tiny
        await bench.weights.mailbox.tell(Unusable(tiny.card.fingerprint, "nobody has them", is_passing=True))
        assert "nobody has them" in (await bench.here()).fault
        bench.may_go_on.set()
        assert (await bench.here()).model == tiny
