import pytest
from hypothesis import given

from meshinfer.doctor.firewall_state import Verdict
from meshinfer.doctor.iptables import read_iptables
from meshinfer.doctor.packet_filter import verdict
from tests.hostile import hostile

UFW = """\
-P INPUT DROP
-P FORWARD DROP
-P OUTPUT ACCEPT
-N ufw-before-input
-N ufw-user-input
-A INPUT -j ufw-before-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-user-input -p tcp -m multiport --dports 80,52000:53000 -m comment --comment "peers and more" -j ACCEPT
"""


def judged(text: str, protocol: str, port: int) -> Verdict:
    return verdict(read_iptables(text), "INPUT", protocol, port)


def test_what_ufw_writes_is_followed() -> None:
    assert judged(UFW, "tcp", 52414) is Verdict.ACCEPT
    assert judged(UFW, "tcp", 22) is Verdict.ACCEPT
    assert judged(UFW, "tcp", 8080) is Verdict.DROP
    assert judged(UFW, "udp", 52414) is Verdict.DROP


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("-p tcp -m tcp --dport 52414 -j REJECT --reject-with icmp-port-unreachable", Verdict.DROP),
        ("-s 10.0.0.0/8 -p tcp -j DROP", Verdict.UNSURE),
        ("-i eth0 -p tcp -j DROP", Verdict.UNSURE),
        ("! -s 10.0.0.0/8 -j DROP", Verdict.UNSURE),
        ("-p tcp -j LOG --log-prefix 'all of it: '", Verdict.ACCEPT),
        ("-p all -j DROP", Verdict.DROP),
        ("-m state --state NEW -j DROP", Verdict.DROP),
        ("-p udp --dport 52414 -j DROP", Verdict.ACCEPT),
    ],
)
def test_single_rules(rule: str, expected: Verdict) -> None:
    assert judged(f"-P INPUT ACCEPT\n-A INPUT {rule}\n", "tcp", 52414) is expected


@given(hostile(UFW))
def test_whatever_comes_it_is_judged(text: str) -> None:
    judged(text, "tcp", 52414)
