"""What a peer shows of its mesh's keys: labels, and how far a change of them is. Never a key."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyState:
    """label: of the newest key, which invitations hold. former: of the one that it takes the place of.

    former is empty where no change goes on. lacking: names of the members that are there and have not got the
    newest one. put_out: names of those that are not to have it. is_used: whether it is in use; else it is
    being handed round. left_s: how long the former one is accepted still.
    """

    label: str
    former: str = ""
    lacking: tuple[str, ...] = ()
    put_out: tuple[str, ...] = ()
    is_used: bool = True
    left_s: int = 0
