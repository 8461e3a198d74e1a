import pytest

from meshinfer.doctor.firewall_state import FirewallState, Verdict
from meshinfer.doctor.linux_firewall import LinuxFirewall, judge_linux

from .test_iptables import UFW
from .test_nftables import USUAL, ruleset

CLOSED = ruleset()


@pytest.mark.parametrize(
    ("seen", "name", "opening"),
    [
        (
            LinuxFirewall(nft=CLOSED),
            "nftables",
            (
                "sudo nft insert rule inet filter input tcp dport 52414 accept",
                "sudo nft insert rule inet filter input udp dport 52414 accept",
            ),
        ),
        (
            LinuxFirewall(rules="-P INPUT DROP\n"),
            "iptables",
            (
                "sudo iptables -I INPUT -p tcp --dport 52414 -j ACCEPT",
                "sudo iptables -I INPUT -p udp --dport 52414 -j ACCEPT",
            ),
        ),
        (LinuxFirewall(nft=CLOSED, rules=UFW, is_ufw_on=True), "ufw", ("sudo ufw allow 52414",)),
        (
            LinuxFirewall(nft=CLOSED, is_firewalld_on=True),
            "firewalld",
            (
                "sudo firewall-cmd --permanent --add-port=52414/tcp --add-port=52414/udp",
                "sudo firewall-cmd --reload",
            ),
        ),
    ],
)
def test_a_closed_port_is_opened_by_whoever_writes_the_rules(
    seen: LinuxFirewall, name: str, opening: tuple[str, ...]
) -> None:
    state = judge_linux(seen, 52414)
    assert (state.name, state.opening) == (name, opening)
    assert Verdict.DROP in (state.tcp, state.udp)


def test_only_what_is_closed_is_opened() -> None:
    state = judge_linux(LinuxFirewall(nft=USUAL), 52414)
    assert (state.tcp, state.udp) == (Verdict.ACCEPT, Verdict.DROP)
    assert state.opening == ("sudo nft insert rule inet filter input udp dport 52414 accept",)


def test_without_rules_there_is_no_firewall() -> None:
    assert judge_linux(LinuxFirewall(), 52414) == FirewallState()
    assert judge_linux(LinuxFirewall(nft='{"nftables": []}'), 52414) == FirewallState()


def test_rules_that_cannot_be_read_are_no_rules_that_let_in() -> None:
    refused = judge_linux(LinuxFirewall(refusal="nft ended with status 1: Operation not permitted"), 52414)
    assert (refused.name, refused.unread) == (
        "the packet filter",
        "nft ended with status 1: Operation not permitted",
    )
    assert judge_linux(LinuxFirewall(is_ufw_on=True), 52414).unread == "its rules cannot be read"
