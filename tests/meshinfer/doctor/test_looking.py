from pathlib import Path

import pytest

from meshinfer.doctor.looking import LOOKS, Request
from meshinfer.doctor.observed import Observed


@pytest.mark.parametrize("name", sorted(set(LOOKS) - {"multicast", "ports"}))
def test_each_look_adds_what_it_saw(name: str, tmp_path: Path) -> None:
    request = Request("http://127.0.0.1:9", (), "lab", ("127.0.0.1", 0), 0, ((tmp_path, "models"),))
    seen = LOOKS[name](request)(Observed())
    assert seen.mesh == "meshinfer"


def test_disks_and_ports_are_those_that_were_asked_for(tmp_path: Path) -> None:
    request = Request("http://127.0.0.1:9", (), "lab", ("127.0.0.1", 0), 0, ((tmp_path, "models"),))
    seen = LOOKS["ports"](request)(LOOKS["disks"](request)(Observed()))
    assert [disk.path for disk in seen.disks] == [str(tmp_path)]
    assert [port.purpose for port in seen.ports] == ["links", "API"]
