from tests.simulation.chance import Chance


def test_a_stream_depends_on_seed_and_name_alone() -> None:
    one = Chance(7)
    first = [one.stream("network").random() for _ in range(3)]
    assert first[0] == first[1] == first[2], "asked again, it begins again"
    assert Chance(7).stream("gossip").random() != first[0]
    assert Chance(8).stream("network").random() != first[0]
    assert round(first[0], 6) == 0.880241, "the same on every machine, for ever"


def test_the_parts_of_a_simulation_have_streams_of_their_own() -> None:
    chance = Chance(7)
    draws = {chance.below(host).stream("jitter").random() for host in ("a", "b", "c")}
    assert len(draws) == 3
    assert chance.below("a") == chance.below("a")
