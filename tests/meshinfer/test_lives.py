from pathlib import Path

from meshinfer.lives import claim_lives
from meshinfer.transports.base import Address

HERE = Address("tcp://127.0.0.1:7000")


async def test_in_its_next_life_a_peer_greets_as_the_same_one_with_a_greater_run(tmp_path: Path) -> None:
    lives = claim_lives(tmp_path, "desk")
    try:
        before = lives.greeting("home", HERE)
        await lives.begin_next(before.run + 5)
        after = lives.greeting("home", HERE)
    finally:
        lives.release()
    assert (after.peer, after.name, after.mesh, after.address) == (lives.peer, "desk", "home", HERE)
    assert before.peer == after.peer
    assert after.run > before.run + 5


async def test_no_two_sessions_are_called_the_same_whatever_life_they_begin_in(tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        lives = claim_lives(tmp_path, "desk")
        names += [lives.next_session(), lives.next_session()]
        await lives.begin_next(0)
        names.append(lives.next_session())
        lives.release()
    assert len(set(names)) == 6
