import json
from dataclasses import replace

from meshinfer.doctor.checks import Checked, examine
from meshinfer.doctor.finding import Mark, bad, good, note, warning
from meshinfer.doctor.report import lines, report_json, summary

from .seen import mac

CHECKED = (
    Checked("disk", (good("plenty"), bad("none", "make room", "or not"))),
    Checked("clock", (warning("late", "set it"),)),
)


def test_findings_stand_in_columns_with_what_to_do_below_each() -> None:
    assert list(lines(CHECKED, is_plain=False)) == [
        (Mark.GOOD, "✓ disk   plenty"),
        (Mark.BAD, "✗        none"),
        (None, "         → make room"),
        (None, "         → or not"),
        (Mark.WARNING, "! clock  late"),
        (None, "         → set it"),
    ]


def test_plain_terminals_get_plain_signs() -> None:
    text = "\n".join(line for _, line in lines((*CHECKED, Checked("x", (note("y"),))), is_plain=True))
    assert text.isascii()
    assert text.splitlines()[1] == "X         none"


def test_the_summary_counts() -> None:
    assert summary(CHECKED) == "1 thing is broken, 1 could be better"
    assert summary(CHECKED[:1] * 2) == "2 things are broken"
    assert summary(()) == "all is well, as far as can be seen from here"


def test_json_has_all_of_it_and_no_ids_of_parts() -> None:
    studio = mac("m3-ultra-1")
    report = report_json(examine(studio), studio)
    assert report["is_well"]
    assert report["machine"]["rdma"] == "RDMA: on en3, en4, en5"
    en5 = next(each for each in report["machine"]["interfaces"] if each["name"] == "en5")
    assert (en5["kind"], en5["speed_bit_s"]) == ("thunderbolt", 80_000_000_000)
    text = json.dumps(report)
    for domain in ("BA46D6A8", "8DDD8B10"):
        assert domain not in text


def test_a_machine_that_tells_nothing_is_none() -> None:
    studio = mac("m3-ultra-1")
    assert report_json((), replace(studio, facts=None))["machine"] is None
