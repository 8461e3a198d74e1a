from meshinfer.labels import Label
from meshinfer.ledger import MAX_RECENT, Happening, Ledger, State
from meshinfer.messages import SessionId
from meshinfer.topology.record import PeerLoad
from meshinfer.topology.ring import PeerId

S, T = SessionId("s"), SessionId("t")
RING = (PeerId("a" * 32), PeerId("b" * 32))


def began(ledger: Ledger, session: SessionId = S, label: Label | None = None) -> None:
    ledger.begin(session, label, "tiny", 1.0)
    ledger.understood(session, "tiny", 30, 1.5)
    ledger.sent(session, RING, 1.5)


def test_a_request_is_followed_from_its_question_to_its_end() -> None:
    rung: list[None] = []
    ledger = Ledger(1000.0, lambda: rung.append(None))
    began(ledger)
    ledger.admitted(S, 10, 2.0)
    ledger.token(S, 3.0)
    ledger.token(S, 3.25)
    ledger.end(S, State.ENDED, "stop", 3.5)
    assert ledger.since(0) == (
        Happening("s", State.BEGUN, "tiny", 0, 0, 1001000),
        Happening("s", State.ADMITTED, "tiny", 30, 0, 1002000),
        Happening("s", State.FIRST_TOKEN, "tiny", 30, 1, 1003000),
        Happening("s", State.ENDED, "tiny", 30, 2, 1003500),
    )
    assert len(rung) == ledger.number == 4
    sums = ledger.models["tiny"]
    assert (sums.prompt_tokens, sums.answer_tokens, dict(sums.outcomes)) == (30, 2, {"stop": 1})
    assert sums.cached_tokens == 10
    assert (sums.first_token_s.sum, sums.token_s.sum, sums.queue_s.sum) == (2.0, 0.25, 0.5)
    assert ledger.open == ()


def test_whose_ring_breaks_pauses_once_and_is_admitted_again() -> None:
    ledger = Ledger()
    began(ledger)
    ledger.admitted(S, 10, 2.0)
    ledger.paused(S, 3.0)
    ledger.paused(S, 3.5)
    assert [happening.state for happening in ledger.open] == [State.PAUSED]
    ledger.admitted(S, 10, 4.0)
    ledger.paused(S, 5.0)
    ledger.end(S, State.FAILED, "RingBroken", 7.0)
    entry = ledger.find("s")
    assert entry is not None
    assert entry.pauses == [(3.0, 4.0), (5.0, 7.0)]
    assert (entry.admitted_s, entry.outcome, ledger.models["tiny"].pauses) == (2.0, "RingBroken", 2)
    # It waited for its turn once.
    assert ledger.models["tiny"].queue_s.count == 1


def test_a_reader_that_lags_behind_hears_of_the_last_happenings_only() -> None:
    ledger = Ledger()
    for count in range(MAX_RECENT):
        ledger.begin(SessionId(str(count)), None, "", 0.0)
        ledger.end(SessionId(str(count)), State.CANCELLED, "cancelled", 0.0)
    told = ledger.since(3)
    assert len(told) == MAX_RECENT
    assert told[-1].request == str(MAX_RECENT - 1)
    assert [each.request for each in ledger.since(ledger.number - 1)] == [str(MAX_RECENT - 1)]
    assert ledger.since(ledger.number) == ()


def test_a_request_is_found_by_each_of_its_names_while_it_is_remembered() -> None:
    ledger, label = Ledger(), Label("mine")
    began(ledger, S, label)
    label.also.append("c0ffee")
    found = {name: ledger.find(name) for name in ("s", "mine", "chatcmpl-c0ffee", "last", "other")}
    assert found.pop("other") is None
    assert {entry.session for entry in found.values() if entry} == {S}
    for count in range(MAX_RECENT + 1):
        ledger.begin(SessionId(str(count)), None, "", 0.0)
        ledger.end(SessionId(str(count)), State.CANCELLED, "cancelled", 0.0)
        if count == 0:
            ledger.end(S, State.ENDED, "stop", 2.0)
    assert ledger.find("mine") is None


def test_requests_that_are_called_the_same_are_told_apart() -> None:
    ledger, label = Ledger(), Label("mine")
    began(ledger, S, label)
    began(ledger, T, label)
    assert [happening.request for happening in ledger.open] == ["mine", "mine.2"]
    second, latest = ledger.find("mine.2"), ledger.find("mine")
    assert second is not None
    assert latest is not None
    assert second.session == latest.session == T


def test_what_is_told_of_requests_that_are_over_is_forgotten() -> None:
    ledger = Ledger()
    began(ledger)
    ledger.end(S, State.CANCELLED, "cancelled", 2.0)
    ledger.admitted(S, 10, 3.0)
    ledger.token(S, 3.0)
    ledger.paused(S, 3.0)
    ledger.sent(S, (), 3.0)
    ledger.understood(S, "other", 1, 3.0)
    ledger.end(S, State.ENDED, "stop", 3.0)
    entry = ledger.find("s")
    assert entry is not None
    assert (entry.state, entry.model, entry.answer_tokens, entry.peers) == (State.CANCELLED, "tiny", 0, RING)


def test_the_load_is_what_goes_on_now() -> None:
    ledger = Ledger()
    began(ledger)
    began(ledger, T)
    for count in range(40):
        ledger.token(S, 2.0 + count / 20)
    assert ledger.load(4.0) == PeerLoad(2, 20)
    assert ledger.answer_tokens_per_s(4.0) == 20.0
    assert ledger.prompt_tokens_per_s(3.0) == 15.0
    ledger.end(S, State.ENDED, "stop", 4.0)
    assert ledger.load(9.0) == PeerLoad(1, 0)
