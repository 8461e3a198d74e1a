from meshinfer.machine.thunderbolt import FarEnd, ThunderboltPort, are_joined, cable_name, far_ends

HERE = ThunderboltPort("AAAA", 4, 80_000_000_000, far_ends=(FarEnd("BBBB"),))
THERE = ThunderboltPort("BBBB", 2, 80_000_000_000, far_ends=(FarEnd("AAAA"),))
IDLE = ThunderboltPort("BBBB", 2, most_bit_s=120_000_000_000)


def test_both_ends_of_a_cable_call_it_the_same() -> None:
    assert HERE.cables == THERE.cables == ("AAAA/BBBB",)
    assert cable_name("bbbb", "AAAA") == "AAAA/BBBB"


def test_ports_are_joined_only_if_each_names_the_other() -> None:
    assert are_joined(HERE, THERE)
    assert not are_joined(HERE, IDLE)
    assert not are_joined(IDLE, HERE)


def test_a_bus_without_a_domain_is_joined_with_nobody() -> None:
    nameless = ThunderboltPort("", 1, far_ends=(FarEnd(""),))
    assert not are_joined(nameless, nameless)
    assert nameless.cables == ()


def test_a_port_is_of_the_generation_of_its_speed() -> None:
    assert HERE.generation == IDLE.generation == 5
    assert ThunderboltPort("A", 1, most_bit_s=40_000_000_000).generation == 4


def test_all_computers_behind_all_ports_are_told() -> None:
    assert far_ends([HERE, IDLE, THERE]) == (FarEnd("BBBB"), FarEnd("AAAA"))
