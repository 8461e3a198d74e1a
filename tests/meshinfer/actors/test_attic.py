from meshinfer.actors.attic import Attic
from meshinfer.model.base import Kept
from tests.simulation.shard import FakeKept


def kept(tokens: int = 10) -> Kept:
    """A hundred bytes a token."""
    return FakeKept(range(2), tokens, {}, [], 100)


def test_a_session_is_there_until_somebody_takes_it() -> None:
    attic, one = Attic(keep_s=60.0), kept()
    assert attic.put("s", one, 0.0) == []
    assert (attic.get("s"), attic.get("t")) == (one, None)
    assert attic.pop("s") is one
    assert (attic.pop("s"), len(attic)) == (None, 0)


def test_of_two_attempts_at_one_session_the_later_is_kept() -> None:
    attic, first, second = Attic(60.0), kept(), kept()
    attic.put("s", first, 0.0)
    assert attic.put("s", second, 1.0) == [first]
    assert attic.get("s") is second
    assert attic.size_bytes == 1000


def test_what_nobody_comes_for_goes_after_a_while() -> None:
    attic, first, second = Attic(60.0), kept(), kept()
    attic.put("s", first, 0.0)
    attic.put("t", second, 1.0)
    assert attic.expire(59.9) == []
    assert attic.expire(60.0) == [first]
    assert attic.expire(61.0) == [second]


def test_the_oldest_make_room() -> None:
    attic, all_kept = Attic(60.0), [kept(), kept(20), kept(5)]
    for number, each in enumerate(all_kept):
        attic.put(str(number), each, 0.0)
    assert attic.shrink(3500) == []
    assert attic.shrink(2600) == all_kept[:1]
    assert attic.shrink(-1) == all_kept[1:]
    assert attic.size_bytes == 0
