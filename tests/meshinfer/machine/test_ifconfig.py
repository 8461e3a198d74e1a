import pytest
from hypothesis import given

from meshinfer.machine.ifconfig import read_ifconfig
from tests.hostile import hostile
from tests.platform import all_told, told

BRIDGED = told("bridge-on", "ifconfig.txt")


def test_a_bridge_its_members_and_their_carriers() -> None:
    found = {each.name: each for each in read_ifconfig(BRIDGED)}
    assert found["bridge0"].members == ("en2", "en3", "en4", "en5", "en6", "en7")
    assert found["bridge0"].addresses == ("fe80::5732:b8b8:6262:d1ae%bridge0", "169.254.91.10")
    assert (found["en5"].has_carrier, found["en4"].has_carrier) == (True, False)
    assert found["en5"].addresses == ()
    assert "PROMISC" in found["en5"].flags


def test_mtu_and_flags_are_of_the_interface() -> None:
    found = {each.name: each for each in read_ifconfig(BRIDGED)}
    assert (found["lo0"].mtu, found["utun1"].mtu) == (16384, 1380)
    assert "LOOPBACK" in found["lo0"].flags
    assert (found["stf0"].flags, found["stf0"].has_carrier) == (frozenset(), None)


@pytest.mark.parametrize(
    ("media", "bit_s"),
    [
        ("autoselect (10Gbase-T <full-duplex>)", 10_000_000_000),
        ("autoselect (1000baseT <full-duplex,flow-control>)", 1_000_000_000),
        ("autoselect (2500Base-T <full-duplex>)", 2_500_000_000),
        ("autoselect <full-duplex>", None),
        ("none", None),
    ],
)
def test_the_medium_tells_the_speed(media: str, bit_s: int | None) -> None:
    text = f"en0: flags=8863<UP,RUNNING> mtu 1500\n\tmedia: {media}\n\tstatus: active\n"
    (found,) = read_ifconfig(text)
    assert (found.speed_bit_s, found.media) == (bit_s, media)


@pytest.mark.parametrize("machine", all_told("ifconfig.txt"))
def test_every_recorded_machine_is_read(machine: str) -> None:
    text = told(machine, "ifconfig.txt")
    found = read_ifconfig(text)
    assert len(found) == text.count(": flags=")
    assert all(each.mtu for each in found)


@given(hostile(BRIDGED))
def test_whatever_comes_it_is_read_and_bounded(text: str) -> None:
    assert len(read_ifconfig(text)) <= 256


def test_a_text_of_millions_of_empty_lines_is_soon_done_with() -> None:
    assert read_ifconfig("en0: flags=1<UP> mtu 1500" + "\n" * 2_000_000)[0].name == "en0"
