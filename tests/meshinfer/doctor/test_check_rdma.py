from dataclasses import replace

from meshinfer.doctor.check_rdma import check_rdma
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Observed
from meshinfer.machine.rdma import RdmaPort, Readiness

from .seen import mac, only


def test_cabled_ports_of_a_studio_can() -> None:
    findings = check_rdma(mac("m3-ultra-1"))
    assert [(each.mark, each.text) for each in findings] == [
        (Mark.GOOD, f"{name} (Thunderbolt {number}) can do it")
        for name, number in (("en3", 2), ("en4", 3), ("en5", 4))
    ]


def test_where_it_is_off_it_is_told_how_to_turn_it_on() -> None:
    finding = only(check_rdma(mac("m3-ultra-1", rdma="disabled")), Mark.WARNING)
    assert finding.text == "no, it is turned off here"
    assert "rdma_ctl enable" in finding.remedies[0]


def test_a_port_that_cannot_says_why_and_what_to_do() -> None:
    studio = mac("m3-ultra-1")
    assert studio.facts is not None
    ports = (
        RdmaPort("en5", "Thunderbolt 4", True, "40 Gb/s were negotiated, it needs 80", "use another cable"),
        RdmaPort("en6", "Thunderbolt 5", False, "no other computer is plugged in"),
    )
    seen = replace(studio, facts=replace(studio.facts, rdma=Readiness(ports)))
    finding = only(check_rdma(seen), Mark.WARNING)
    assert finding.text == "en5 (Thunderbolt 4) cannot: 40 Gb/s were negotiated, it needs 80"
    assert finding.remedies == ("use another cable",)


def test_thunderbolt_4_and_a_mac_without_cables_are_no_fault() -> None:
    only(check_rdma(mac("mini-m4-tb4")), Mark.NOTE)


def test_elsewhere_there_is_none() -> None:
    assert check_rdma(Observed()) == check_rdma(replace(mac("m3-ultra-1"), platform="linux")) == []
