from meshinfer.topology.conduct import Conduct, Offence
from tests.topology.voices import B, C, peer


def test_nobody_is_cut_off_for_a_mistake_now_and_then() -> None:
    conduct = Conduct()
    assert not any(conduct.note(B, Offence.PROTOCOL, now_s=120.0 * hour) for hour in range(100))
    assert conduct.barred(B, 12_000.0) is None
    assert conduct.counts[B, Offence.PROTOCOL] == 100


def test_who_breaks_rules_often_is_cut_off_for_a_while_and_the_others_are_not() -> None:
    conduct = Conduct()
    assert [conduct.note(B, Offence.PROTOCOL, now_s=0.0) for _ in range(4)] == [False, False, False, True]
    barred = conduct.barred(B, 30.0)
    assert barred is not None
    assert barred.text == "cut off for 60 s, it broke the rules too often: 4 × protocol"
    assert conduct.all_barred(30.0) == (barred,)
    assert conduct.barred(C, 30.0) is None
    assert conduct.barred(B, 60.0) is None
    assert conduct.all_barred(60.0) == ()


def test_what_came_before_it_was_cut_off_does_not_do_so_once_more() -> None:
    conduct = Conduct()
    assert [conduct.note(B, Offence.FLOOD, 0.0) for _ in range(10)].count(True) == 1


def test_who_goes_on_is_cut_off_for_longer_each_time_and_for_an_hour_at_most() -> None:
    conduct, now_s, spans_s = Conduct(), 0.0, []
    for _ in range(8):
        while not conduct.note(B, Offence.FOREIGN, now_s):
            pass
        barred = conduct.barred(B, now_s)
        assert barred is not None
        spans_s.append(barred.span_s)
        now_s += barred.span_s
        assert conduct.barred(B, now_s) is None
    assert spans_s == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_only_so_many_are_remembered() -> None:
    conduct = Conduct()
    for index in range(3000):
        conduct.note(peer(index), Offence.FOREIGN, float(index))
    assert len(conduct.counts) == 1024
    assert (peer(0), Offence.FOREIGN) not in conduct.counts
