from hypothesis import given
from hypothesis import strategies as st

from meshinfer.messages import Prefix, SessionId
from meshinfer.scheduling.prefixes import Prefixes

A, B, C = SessionId("a"), SessionId("b"), SessionId("c")
SYSTEM = tuple(range(100, 140))


def kept(*entries: tuple[SessionId, tuple[int, ...]], is_trimmable: bool = True, most: int = 8) -> Prefixes:
    prefixes = Prefixes(most, is_trimmable=is_trimmable)
    for session, tokens in entries:
        prefixes.add(session, tokens)
    return prefixes


def test_the_longest_common_beginning_is_found() -> None:
    prefixes = kept((A, (*SYSTEM, 1, 2)), (B, (*SYSTEM, 1, 3, 4, *range(30))))
    assert prefixes.find((*SYSTEM, 1, 3, 9, 9)) == Prefix(B, 42, is_taken=False)


def test_the_last_token_of_a_prompt_is_always_computed() -> None:
    assert kept((A, SYSTEM)).find(SYSTEM) == Prefix(A, len(SYSTEM) - 1, is_taken=True)


def test_the_next_turn_of_a_chat_takes_its_caches_over() -> None:
    prefixes = kept((A, (*SYSTEM, 1, 2)))
    assert prefixes.find((*SYSTEM, 1, 2, 3, 4)) == Prefix(A, 42, is_taken=True)


def test_what_begins_with_a_part_only_copies_it() -> None:
    assert kept((A, (*SYSTEM, *range(100)))).find((*SYSTEM, 7777, 1)) == Prefix(A, 40, is_taken=False)


def test_too_little_in_common_is_not_worth_it() -> None:
    assert kept((A, tuple(range(15)))).find(tuple(range(40))) is None
    assert kept((A, SYSTEM)).find((1, *SYSTEM)) is None
    assert not kept().is_worth_keeping(15)
    assert kept().is_worth_keeping(16)
    assert not kept(most=0).is_worth_keeping(1000)


def test_caches_that_cannot_be_cut_are_used_whole_or_up_to_a_mark() -> None:
    prefixes = Prefixes(8, is_trimmable=False)
    prefixes.add(A, (*SYSTEM, 1, 2), marks=(20, 40))
    assert prefixes.find((*SYSTEM, 1, 2, 3)) == Prefix(A, 42, is_taken=True)
    assert prefixes.find((*SYSTEM, 5, 6)) == Prefix(A, 40, is_taken=True)
    assert prefixes.find((*SYSTEM[:39], 5, 6)) == Prefix(A, 20, is_taken=False)
    assert prefixes.find((*SYSTEM[:19], 5, 6)) is None


def test_the_least_recently_used_goes_first() -> None:
    prefixes = kept((A, SYSTEM), (B, tuple(range(40))), most=2)
    assert prefixes.find((*SYSTEM, 1)) is not None
    assert prefixes.add(C, tuple(range(500, 600))) == [B]
    assert prefixes.sessions == (A, C)
    assert prefixes.tokens == 140
    assert prefixes.shrink(120) == [A]
    assert prefixes.shrink(0, but=C) == []
    assert prefixes.shrink(-1) == [C]


TOKENS = st.lists(st.integers(0, 2), max_size=60).map(tuple)


@given(st.lists(TOKENS, max_size=6), TOKENS.filter(len))
def test_what_is_found_is_the_best_there_is(entries: list[tuple[int, ...]], prompt: tuple[int, ...]) -> None:
    prefixes = kept(*((SessionId(f"s{number}"), tokens) for number, tokens in enumerate(entries)))
    found = prefixes.find(prompt)
    common = [
        max(n for n in range(len(prompt)) if tokens[:n] == prompt[:n] and n <= len(tokens))
        for tokens in entries
    ]
    best = max(common, default=0)
    assert (found.length if found else 0) == (best if best >= 16 else 0)
    if found is not None:
        assert entries[int(found.source[1:])][: found.length] == prompt[: found.length]
