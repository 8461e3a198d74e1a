import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.machine.thunderbolt import FarEnd
from meshinfer.machine.thunderbolt_profile import read_thunderbolt
from tests.hostile import hostile
from tests.platform import STUDIOS, all_told, told

STUDIO = told("m3-ultra-1", "thunderbolt.json")


def test_ports_of_a_studio_and_who_is_there() -> None:
    ports = {port.receptacle: port for port in read_thunderbolt(STUDIO)}
    assert sorted(ports) == [1, 2, 3, 4, 5, 6]
    assert (ports[4].speed_bit_s, ports[4].most_bit_s) == (80_000_000_000, 0)
    assert ports[4].far_ends == (FarEnd("8DDD8B10-B0C3-59D2-95C4-078469D0BF62", "Mac15,14", has_rdma=True),)
    assert (ports[6].speed_bit_s, ports[6].most_bit_s, ports[6].far_ends) == (0, 120_000_000_000, ())
    assert {port.generation for port in ports.values()} == {5}


def test_each_two_of_four_studios_are_joined_by_one_cable_with_one_name() -> None:
    machines = [read_thunderbolt(told(name, "thunderbolt.json")) for name in STUDIOS]
    for one, other in itertools.combinations(machines, 2):
        here, there = ([cable for port in each for cable in port.cables] for each in (one, other))
        assert len(set(here) & set(there)) == 1


def test_a_computer_behind_a_device_is_found_and_marked() -> None:
    ports = read_thunderbolt(told("hub-in-path", "thunderbolt.json"))
    (end,) = [end for port in ports for end in port.far_ends]
    assert (end.model, end.is_via_hub, end.has_rdma) == ("Mac16,5", True, True)


def test_a_dock_is_no_computer_and_one_without_rdma_is_told_so() -> None:
    ports = {port.receptacle: port for port in read_thunderbolt(told("mbp-m5max", "thunderbolt.json"))}
    assert (ports[3].speed_bit_s, ports[3].far_ends) == (80_000_000_000, ())
    assert [end.has_rdma for end in ports[2].far_ends] == [False]


def test_thunderbolt_4_is_told_by_its_speed() -> None:
    ports = read_thunderbolt(told("mini-m4-tb4", "thunderbolt.json"))
    assert {port.generation for port in ports} == {4}


@pytest.mark.parametrize("machine", all_told("thunderbolt.json"))
def test_every_recorded_machine_is_read(machine: str) -> None:
    text = told(machine, "thunderbolt.json")
    ports = read_thunderbolt(text)
    assert len(ports) == text.count('"receptacle_id_key"')
    assert all(port.domain and port.receptacle for port in ports)


@given(hostile(STUDIO))
def test_whatever_text_comes_it_is_read_and_bounded(text: str) -> None:
    assert len(read_thunderbolt(text)) <= 64


_KEYS = st.sampled_from(
    [
        "_items",
        "domain_uuid_key",
        "receptacle_1_tag",
        "receptacle_id_key",
        "current_speed_key",
        "services_title",
        "protocol_id_key",
        "device_name_key",
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(_VALUES)
def test_whatever_json_comes_it_is_read(value: object) -> None:
    assert all(
        port.receptacle >= 0 for port in read_thunderbolt(json.dumps({"SPThunderboltDataType": value}))
    )


def test_what_is_nested_without_end_is_passed_over() -> None:
    assert read_thunderbolt("[" * 200_000) == ()


def test_a_chain_longer_than_any_is_followed_as_far_as_chains_go() -> None:
    device: dict[str, object] = {"domain_uuid_key": "8DDD8B10-B0C3-59D2-95C4-078469D0BF62"}
    for _ in range(100):
        device = {"_items": [device]}
    bus = {"receptacle_1_tag": {"current_speed_key": "40 Gb/s"}, "_items": [device]}
    (port,) = read_thunderbolt(json.dumps({"SPThunderboltDataType": [bus]}))
    assert (port.far_ends, port.receptacle) == ((), 0)
