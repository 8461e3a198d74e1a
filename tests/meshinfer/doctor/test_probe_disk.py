import os
import subprocess
import sys
from pathlib import Path

import pytest

from meshinfer.doctor.check_disk import check_disk
from meshinfer.doctor.finding import Mark
from meshinfer.doctor.observed import Observed
from meshinfer.doctor.probe_disk import look_at_disk

from .seen import only


def test_a_folder_that_is_not_there_yet_is_looked_at_where_it_will_be(tmp_path: Path) -> None:
    disk = look_at_disk(tmp_path / "a" / "b", "models")
    assert disk.free_bytes > 0
    assert disk.reason == ""
    assert not (tmp_path / "a").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is no folder" in look_at_disk(tmp_path / "file", "models").reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_others_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "not writable" in look_at_disk(tmp_path / "models", "models").reason


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting takes root on Linux")
def test_a_disk_that_is_nearly_full_is_bad(tmp_path: Path) -> None:
    mounted = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path)]
    if subprocess.run(mounted, capture_output=True, timeout=60).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        disk = look_at_disk(tmp_path / "models", "models")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True, timeout=60)
    assert disk.free_bytes <= 1 << 20
    only(check_disk(Observed(disks=(disk,))), Mark.BAD)
