from dataclasses import replace

from meshinfer.doctor.check_route import check_route
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Observed

from .seen import mac, only

BRIDGED = mac("bridge-on")


def test_self_assigned_addresses_that_are_sent_into_wifi_are_told() -> None:
    finding = only(check_route(replace(BRIDGED, link_local_route="en1")), Mark.WARNING)
    assert "bridge0 has addresses in 169.254, which this system sends to en1 (Wi-Fi)" in finding.text
    assert "--peer [fe80::…%bridge0]:52414" in finding.remedies[0]
    assert "sudo ifconfig bridge0 inet 10.52.0.1/30 alias" in finding.remedies[1]


def test_a_route_over_the_cable_is_well_and_so_is_none() -> None:
    only(check_route(replace(BRIDGED, link_local_route="bridge0")), Mark.GOOD)
    only(check_route(BRIDGED), Mark.GOOD)


def test_cables_with_networks_of_their_own_do_not_need_it() -> None:
    assert check_route(replace(mac("m3-ultra-1"), link_local_route="en1")) == []
    assert check_route(Observed()) == []
