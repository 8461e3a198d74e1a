from meshinfer.topology.prober import Probe, Prober, Relay
from meshinfer.topology.ring import Run
from tests.topology.voices import B, C, D


def probe() -> Probe:
    return Probe(B, Run(1), began_s=0.0, end_s=0.5)


def test_a_probe_waits_until_it_is_ended() -> None:
    prober, one = Prober(), probe()
    number = prober.start(one)
    assert prober.is_probing(B)
    assert prober.probe(number) is one
    assert prober.end(number) is one
    assert prober.end(number) is None
    assert not prober.is_probing(B)


def test_probes_and_relays_share_no_number() -> None:
    prober = Prober()
    numbers = [prober.start(probe()), prober.start_relay(Relay(C, 9, B)), prober.start(probe())]
    assert len(set(numbers)) == 3
    assert prober.relay(numbers[0]) is None
    assert prober.probe(numbers[1]) is None


def test_a_relay_is_answered_once() -> None:
    prober = Prober()
    number = prober.start_relay(Relay(C, 9, B))
    assert prober.relay_count == 1
    assert prober.end_relay(number) == Relay(C, 9, B)
    assert prober.end_relay(number) is None
    assert prober.relay_count == 0


def test_probes_of_a_peer_that_began_anew_are_forgotten() -> None:
    prober = Prober()
    number, other = prober.start(probe()), prober.start(Probe(D, Run(1), 0.0, 0.5))
    prober.drop(B)
    assert prober.probe(number) is None
    assert prober.probe(other) is not None


def test_probes_end_later_by_the_time_that_was_missed() -> None:
    prober, one = Prober(), probe()
    prober.start(one)
    prober.put_off(2.0)
    assert one.end_s == 2.5
