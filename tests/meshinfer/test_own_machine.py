import pytest

from meshinfer.actors.cables import CableView
from meshinfer.actors.watch import Bell, Watch
from meshinfer.config import PeerConfig
from meshinfer.errors import ConfigError
from meshinfer.own_machine import OwnMachine


def machine(config: PeerConfig) -> OwnMachine:
    cables: Watch[tuple[CableView, ...]] = Watch((), Bell())
    return OwnMachine(config, Bell(), cables)


def test_payloads_go_in_clear_by_the_interfaces_that_were_named_alone() -> None:
    named = machine(PeerConfig(clear_on_cables=("en5",)))
    assert named.may_clear("en5")
    assert not named.may_clear("en0")


def test_no_interface_is_taken_for_a_cable_before_the_machine_is_known() -> None:
    assert not machine(PeerConfig(clear_on_cables=("thunderbolt",))).may_clear("en5")


async def test_an_interface_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--clear-on-cables 'nosuch7' is no interface of this machine"):
        await machine(PeerConfig(clear_on_cables=("nosuch7",))).check_cables()


@pytest.mark.parametrize(
    ("config", "why_not"),
    [
        (PeerConfig(), "is not sealed: --fabric jaccl takes it all the same"),
        (PeerConfig(is_open=True), "still being looked at"),
        (PeerConfig(fabric="off"), "--fabric off"),
    ],
)
def test_why_there_is_no_fabric_is_told(config: PeerConfig, why_not: str) -> None:
    means = machine(config).fabric_means()
    assert means.backend == ""
    assert why_not in means.why_not


async def test_what_the_user_allows_is_what_there_is_of_memory() -> None:
    assert await machine(PeerConfig(memory_bytes=12345)).memory_bytes() == 12345
