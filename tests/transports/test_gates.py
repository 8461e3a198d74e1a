from functools import partial

from meshinfer.transports.gates import Gates


class Walk:
    """Notes who came through."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.through: list[str] = []

    def stream(self, name: str, source: str = "a", target: str = "b") -> None:
        self._go(name, source, target, is_datagram=False)

    def datagram(self, name: str, source: str = "a", target: str = "b") -> None:
        self._go(name, source, target, is_datagram=True)

    def _go(self, name: str, source: str, target: str, *, is_datagram: bool) -> None:
        gates = self.gates
        enter = partial(gates.enter, target, partial(self.through.append, name), is_datagram=is_datagram)
        cross = partial(gates.cross, source, target, enter, is_datagram=is_datagram)
        gates.leave(source, cross, is_datagram=is_datagram)


def test_open_gates_hold_nothing_back() -> None:
    walk = Walk()
    walk.stream("1")
    walk.datagram("2")
    assert walk.through == ["1", "2"]


def test_a_blocked_way_holds_streams_and_loses_datagrams() -> None:
    walk = Walk()
    walk.gates.block("a", "b")
    walk.stream("1")
    walk.datagram("lost")
    walk.stream("2")
    walk.stream("back", "b", "a")
    assert walk.through == ["back"]
    walk.gates.unblock("a", "b")
    walk.datagram("3")
    assert walk.through == ["back", "1", "2", "3"]


def test_off_the_network_a_host_reaches_nobody_but_itself() -> None:
    walk = Walk()
    walk.gates.unplug("b")
    walk.stream("1")
    walk.stream("2", "b", "c")
    walk.datagram("lost", "b", "c")
    walk.datagram("own", "b", "b")
    walk.stream("others", "a", "c")
    assert walk.through == ["own", "others"]
    walk.gates.plug("b")
    assert walk.through == ["own", "others", "1", "2"]


def test_a_way_stays_shut_while_anything_shuts_it() -> None:
    walk = Walk()
    walk.gates.block("a", "b")
    walk.gates.unplug("a")
    walk.gates.freeze("b", is_asleep=True)
    walk.stream("1")
    walk.gates.plug("a")
    walk.gates.thaw("b")
    assert walk.through == []
    walk.gates.unblock("a", "b")
    assert walk.through == ["1"]


def test_a_stopped_process_receives_and_sends_in_order_when_it_goes_on() -> None:
    walk = Walk()
    walk.gates.freeze("b", is_asleep=False)
    walk.stream("1")
    walk.datagram("2")
    walk.datagram("answer", "b", "a")
    walk.stream("3")
    assert walk.through == []
    walk.gates.thaw("b")
    assert walk.through == ["1", "2", "3", "answer"]


def test_datagrams_to_a_machine_that_sleeps_are_lost_and_streams_wait() -> None:
    walk = Walk()
    walk.gates.freeze("b", is_asleep=True)
    walk.datagram("lost")
    walk.stream("1")
    walk.gates.thaw("b")
    assert walk.through == ["1"]


def test_of_datagrams_to_a_stopped_process_the_kernel_keeps_so_many() -> None:
    walk = Walk()
    walk.gates.freeze("b", is_asleep=False)
    for number in range(300):
        walk.datagram(str(number))
    walk.stream("streams wait all the same")
    walk.gates.thaw("b")
    assert walk.through == [*map(str, range(256)), "streams wait all the same"]


def test_when_a_stopped_process_is_killed_its_streams_go_out_and_nothing_enters() -> None:
    walk = Walk()
    walk.gates.freeze("b", is_asleep=False)
    walk.stream("nobody reads this")
    walk.stream("written", "b", "a")
    walk.datagram("not sent", "b", "a")
    walk.gates.end("b")
    assert walk.through == ["written"]
    walk.stream("the next process reads this")
    assert walk.through[1:] == ["the next process reads this"]
