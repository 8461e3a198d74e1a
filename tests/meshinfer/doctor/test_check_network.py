from dataclasses import replace

from meshinfer.doctor.check_network import check_network
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Observed

from .seen import mac, only


def test_what_is_used_is_named_and_what_is_not() -> None:
    finding = only(check_network(mac("m3-ultra-1")), Mark.GOOD)
    assert "en5 Thunderbolt 5 80 Gb/s" in finding.text
    assert "not used: awdl0 llw0 AirDrop, utun0 utun1 utun2 utun3 utun4 VPN" in finding.text


def test_a_machine_without_any_is_told_to_get_one() -> None:
    studio = mac("m3-ultra-1")
    assert studio.facts is not None
    vpn = tuple(each for each in studio.facts.up if each.name.startswith("utun"))
    finding = only(check_network(replace(studio, facts=replace(studio.facts, up=vpn))), Mark.BAD)
    assert finding.text.startswith("no network; not used: utun0")
    assert finding.remedies


def test_a_machine_that_tells_nothing_is_not_judged() -> None:
    only(check_network(Observed()), Mark.NOTE)
