from dataclasses import replace

from meshinfer.doctor.check_tools import check_tools
from meshinfer.doctor.observed import Observed

from .seen import mac


def test_everybody_who_was_silent_is_named_once() -> None:
    silent = replace(mac("mbp-m5max"), silent=("routes: no answer in 5 s", "ifconfig is not installed"))
    assert [each.text for each in check_tools(silent)] == [
        "routes: no answer in 5 s",
        "ifconfig is not installed",
    ]
    assert check_tools(Observed()) == []
