from pathlib import Path

import pytest

from meshinfer.errors import ConfigError
from meshinfer.machine.identity import claim_identity


def test_an_id_survives_restarts_and_each_run_is_greater(tmp_path: Path) -> None:
    first = claim_identity(tmp_path, "desk", now_ms=5_000)
    first.release()
    # The clock was set back.
    second = claim_identity(tmp_path, "desk", now_ms=1_000)
    second.release()
    assert (first.peer, first.run) == (second.peer, 5_000)
    assert second.run == 5_001


def test_another_life_of_the_same_process_is_greater_than_all_and_kept(tmp_path: Path) -> None:
    identity = claim_identity(tmp_path, "desk", now_ms=5_000)
    far = 1 << 60
    reborn = identity.next_run(than=far)
    assert (reborn.peer, reborn.run) == (identity.peer, far + 1)
    reborn.release()
    assert claim_identity(tmp_path, "desk", now_ms=5_000).run == far + 2


def test_two_processes_cannot_be_one_peer(tmp_path: Path) -> None:
    identity = claim_identity(tmp_path, "desk")
    with pytest.raises(ConfigError, match="a peer called desk runs on this machine already"):
        claim_identity(tmp_path, "desk")
    identity.release()
