import os
from pathlib import Path

import pytest

from meshinfer.errors import MeshError, ModelError, UnknownModel
from meshinfer.model.hub import Repository
from meshinfer.model.ranges import HubFiles, Patience
from tests.fakehub import Habits, fake_hub
from tests.ports import absent_server

FILE = "model.safetensors"
CONTENT = os.urandom(3_000_000)
# As often as usual, but without waiting.
PATIENCE = Patience(attempts=4, first_wait_s=0.001, longest_wait_s=0.002)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / FILE).write_bytes(CONTENT)
    return tmp_path


def read(directory: Path, habits: Habits, begin: int, end: int) -> bytes:
    with fake_hub(directory, habits=habits) as endpoint:
        return HubFiles(Repository("org/tiny", "main"), endpoint, PATIENCE).read(FILE, begin, end)


@pytest.mark.parametrize(("begin", "end"), [(0, 8), (5, 2_500_000), (2_999_999, 3_000_000), (7, 7)])
def test_a_range_is_what_the_file_has_there(directory: Path, begin: int, end: int) -> None:
    habits = Habits()
    assert read(directory, habits, begin, end) == CONTENT[begin:end]
    assert habits.sent_bytes == end - begin


@pytest.mark.parametrize(
    "habits",
    [
        Habits(knows_ranges=False),
        Habits(is_redirecting=True),
        Habits(torn=3),
        Habits(torn=9),
        Habits(knows_ranges=False, torn=1),
        Habits(failing=3),
        Habits(is_redirecting=True, failing=2, torn=2),
    ],
    ids=str,
)
def test_it_comes_whatever_the_server_does(directory: Path, habits: Habits) -> None:
    assert read(directory, habits, 1_000_000, 2_900_000) == CONTENT[1_000_000:2_900_000]


def test_what_came_before_a_break_is_not_asked_for_again(directory: Path) -> None:
    habits = Habits(torn=1)
    read(directory, habits, 1_000_000, 2_000_000)
    assert [asked for _, asked in habits.ranges] == ["bytes=1000000-1999999", "bytes=1500000-1999999"]


@pytest.mark.parametrize(
    ("habits", "kind", "complaint"),
    [
        (Habits(refusal="gated"), ModelError, "is gated: accept its terms"),
        (Habits(refusal="missing"), UnknownModel, "is not on the hub, or private"),
        (Habits(refusal="no revision"), UnknownModel, "has no revision main"),
        (Habits(refusal="no entry"), ModelError, "could not be read .*404"),
        (Habits(refusal="unauthorized"), ModelError, r"refuses access .401.: .*hf auth login"),
        (Habits(refusal="out of range"), ModelError, "could not be read .*416"),
        (Habits(refusal="failing"), ModelError, "could not be read .*501"),
        (Habits(failing=99), ModelError, "could not be read .*503"),
        (Habits(shifted=1), ModelError, "asked for bytes 10-19 .* answers 206 with the range 'bytes 11-"),
    ],
    ids=str,
)
def test_what_the_server_refuses_is_said_with_a_way_out(
    directory: Path, habits: Habits, kind: type[MeshError], complaint: str
) -> None:
    with pytest.raises(kind, match=complaint):
        read(directory, habits, 10, 20)


def test_bodies_that_bring_nothing_again_and_again_are_an_error(directory: Path) -> None:
    with pytest.raises(ModelError, match=r"bytes 10-10 of model\.safetensors do not come .* 4 attempts"):
        read(directory, Habits(torn=99), 10, 11)


def test_a_hub_that_is_not_there_is_an_error_after_some_attempts() -> None:
    with absent_server() as endpoint, pytest.raises(ModelError, match=r"after 4 attempts \(ConnectError"):
        HubFiles(Repository("org/tiny"), endpoint, PATIENCE).read(FILE, 0, 8)


def test_what_the_taker_raises_ends_it(directory: Path) -> None:
    def take(chunk: memoryview) -> None:
        raise ZeroDivisionError

    with fake_hub(directory) as endpoint, pytest.raises(ZeroDivisionError):
        HubFiles(Repository("org/tiny"), endpoint, PATIENCE).stream(FILE, 0, 8, take)


def test_offline_the_network_is_never_touched(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    habits = Habits()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UnknownModel, match="HF_HUB_OFFLINE forbids"):
        read(directory, habits, 0, 8)
    assert habits.ranges == []
