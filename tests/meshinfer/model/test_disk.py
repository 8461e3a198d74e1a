import errno
from pathlib import Path

import pytest

from meshinfer.errors import DiskFull
from meshinfer.model.disk import disk_full_named, require_free


def test_what_fits_is_fine_even_where_no_directory_is_yet(tmp_path: Path) -> None:
    require_free(tmp_path / "not" / "yet", 1, "a model")


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match=rf"a model needs 1,000,000,000,000,000,000 bytes in {tmp_path}"):
        require_free(tmp_path, 10**18, "a model")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_running_out_of_room_is_named(tmp_path: Path, number: int) -> None:
    with pytest.raises(DiskFull, match="a model needs 5 bytes"), disk_full_named(tmp_path, 5, "a model"):
        raise OSError(number, "no room")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), disk_full_named(tmp_path, 5, "a model"):
        raise PermissionError
