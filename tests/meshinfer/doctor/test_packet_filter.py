import pytest

from meshinfer.doctor.firewall_state import Verdict
from meshinfer.doctor.packet_filter import Chain, Rule, strictest, verdict

PORT = ((52414, 52414),)
ACCEPT, DROP, UNSURE = Verdict.ACCEPT, Verdict.DROP, Verdict.UNSURE


def judged(*rules: Rule, policy: Verdict = DROP, **others: Chain) -> Verdict:
    return verdict({"INPUT": Chain(rules, policy), **others}, "INPUT", "tcp", 52414)


@pytest.mark.parametrize(
    ("rules", "policy", "expected"),
    [
        ((), ACCEPT, ACCEPT),
        ((), DROP, DROP),
        ((Rule("ACCEPT", "tcp", PORT),), DROP, ACCEPT),
        ((Rule("ACCEPT", "udp", PORT),), DROP, DROP),
        ((Rule("ACCEPT", "tcp", ((22, 22),)),), DROP, DROP),
        ((Rule("ACCEPT", "tcp", ((1024, 65535),)),), DROP, ACCEPT),
        ((Rule("DROP"), Rule("ACCEPT")), ACCEPT, DROP),
        # Answers to our own packets, and loopback, are no new connections.
        ((Rule("ACCEPT", is_never=True),), DROP, DROP),
        # From some addresses only: who knows.
        ((Rule("ACCEPT", is_conditional=True),), DROP, UNSURE),
        ((Rule("DROP", is_conditional=True),), ACCEPT, UNSURE),
        ((Rule("DROP", is_conditional=True),), DROP, DROP),
        ((Rule("", is_conditional=True),), ACCEPT, ACCEPT),
        ((Rule("nowhere"),), DROP, DROP),
    ],
)
def test_a_packet_meets_the_first_rule_that_is_for_it(
    rules: tuple[Rule, ...], policy: Verdict, expected: Verdict
) -> None:
    assert judged(*rules, policy=policy) is expected


def test_chains_are_followed_and_come_back() -> None:
    peers = Chain((Rule("RETURN", "udp"), Rule("ACCEPT", "tcp", PORT)))
    assert judged(Rule("peers"), peers=peers) is ACCEPT
    assert judged(Rule("peers"), peers=Chain((Rule("RETURN"), Rule("ACCEPT")))) is DROP
    assert judged(Rule("peers", is_conditional=True), peers=peers) is UNSURE


def test_chains_that_lead_round_end() -> None:
    assert judged(Rule("a"), a=Chain((Rule("b"), Rule("b"))), b=Chain((Rule("a"), Rule("a")))) is UNSURE


def test_a_packet_must_come_through_all_filters() -> None:
    assert strictest([ACCEPT, UNSURE]) is UNSURE
    assert strictest([ACCEPT, UNSURE, DROP]) is DROP
    assert strictest([]) is ACCEPT
