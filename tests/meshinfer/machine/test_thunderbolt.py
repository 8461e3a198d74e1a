from meshinfer.machine.thunderbolt import FarEnd, ThunderboltPort, cable_name

HERE = ThunderboltPort("AAAA", 4, 80_000_000_000, far_ends=(FarEnd("BBBB"),))
THERE = ThunderboltPort("BBBB", 2, 80_000_000_000, far_ends=(FarEnd("AAAA"),))
IDLE = ThunderboltPort("BBBB", 2, most_bit_s=120_000_000_000)


def test_both_ends_of_a_cable_call_it_the_same() -> None:
    assert HERE.cables == THERE.cables == ("AAAA/BBBB",)
    assert cable_name("bbbb", "AAAA") == "AAAA/BBBB"


def test_a_bus_without_a_domain_has_no_cable_that_others_could_name() -> None:
    assert ThunderboltPort("", 1, far_ends=(FarEnd("BBBB"),)).cables == ()


def test_a_port_is_of_the_generation_of_its_speed() -> None:
    assert HERE.generation == IDLE.generation == 5
    assert ThunderboltPort("A", 1, most_bit_s=40_000_000_000).generation == 4
