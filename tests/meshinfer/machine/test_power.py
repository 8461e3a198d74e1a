import sys

import pytest

from meshinfer.machine.power import PowerUnreadable, open_meter


def test_a_system_that_nobody_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(PowerUnreadable, match="plan9"):
        open_meter()


def test_on_this_machine_energy_only_grows_or_there_is_a_reason() -> None:
    try:
        with open_meter() as meter:
            assert 0 <= meter.joules() <= meter.joules()
            assert meter.covers
    except PowerUnreadable as reason:
        assert str(reason)  # noqa: PT017
