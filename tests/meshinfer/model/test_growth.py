from pathlib import Path
from threading import Event

import pytest

from meshinfer.model.growth import growth_reported


def test_a_growing_directory_is_reported_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "before").write_bytes(bytes(1000))
    reported: list[int] = []
    has_looked = Event()

    def progress(what: str, done: int, total: int) -> None:
        assert (what, total) == ("downloading", 300)
        reported.append(done)
        if done == 200:
            has_looked.set()

    with growth_reported(tmp_path, "downloading", 300, progress):
        (tmp_path / "file").write_bytes(bytes(200))
        assert has_looked.wait(60)
    assert (reported[0], reported[-1]) == (0, 300)


def test_a_failure_is_not_reported_as_done(tmp_path: Path) -> None:
    reported: list[int] = []

    def fail() -> None:
        with growth_reported(tmp_path, "downloading", 300, lambda what, done, total: reported.append(done)):
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    assert 300 not in reported
