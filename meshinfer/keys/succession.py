"""How one key of a mesh takes the place of another: what a member makes of it, out of what it knows.

There is no vote and no leader. A key follows another one if somebody made it who had that one. Of two that
follow the same key, because two people changed it at once, the one with the greater label stays. A member
uses the newest key once all who are there tell that they have it, and forgets the former one a grace time
later, or as soon as another member has.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import replace

from meshinfer.errors import ConfigError
from meshinfer.topology.member import Member
from meshinfer.topology.record import KeyWord
from meshinfer.topology.ring import PeerId

from .keyring import MAX_ENTITLED, Change, Keyring
from .mesh_key import MeshKey

_MOST_DRAWS = 10_000

PROOF_BYTES = 32


def begun(keyring: Keyring, draw: Callable[[], MeshKey], entitled: tuple[PeerId, ...] = ()) -> Keyring:
    """Begin to change the key. entitled: the only ones who may be given the new one; empty is every member.

    Where another change has not reached all yet, this one takes its place.

    Raises:
        ConfigError: too many are named, or too many changes were begun in a row.
    """
    if len(entitled) > MAX_ENTITLED:
        raise ConfigError(
            f"{len(entitled)} peers are there, and --without works with {MAX_ENTITLED} at most: make a new "
            "key with `meshinfer key new --force`, and invite those that are to stay"
        )
    change = keyring.change
    is_overtaken = change is not None and not change.turned_ms
    former = change.former if change is not None and is_overtaken else keyring.newest
    taken = [key.label for key in keyring.accepted]
    for _ in range(_MOST_DRAWS):
        key = draw()
        if key.label not in taken and (key.label > keyring.newest.label or not is_overtaken):
            return Keyring(key, Change(former, proof_of(former, key, entitled), entitled))
    raise ConfigError("the key was changed many times in a row: wait until the last change has reached all")


def is_better(keyring: Keyring, told: KeyWord) -> bool:
    """Whether a member that tells this has a key that is to take the place of the newest one here."""
    if told.is_over or not told.newest or told.newest == keyring.newest.label:
        return False
    if told.former == keyring.newest.label:
        return True
    rivals = keyring.change is not None and told.former == keyring.change.former.label
    return rivals and told.newest > keyring.newest.label


def taken(keyring: Keyring, key: MeshKey, change: Change) -> Keyring:
    """Take over a key that a member gave; the same keyring if it is none that could take the newest's place.

    change: as the member told it; only what it follows and who may have it counts.
    """
    told = KeyWord(key.label, change.former.label)
    is_known = change.former in keyring.accepted
    is_proved = hmac.compare_digest(change.proof, proof_of(change.former, key, change.entitled))
    if not (is_known and is_proved and is_better(keyring, told)):
        return keyring
    return Keyring(key, replace(change, turned_ms=0))


def lacking(keyring: Keyring, members: Iterable[Member]) -> tuple[Member, ...]:
    """Who is there, may have the newest key, and does not tell that it has it."""
    if keyring.change is None:
        return ()
    label, entitled = keyring.newest.label, keyring.change.entitled
    return tuple(
        member
        for member in members
        if member.is_present
        and member.record.keys.newest != label
        and (not entitled or member.record.peer in entitled)
    )


def moved_on(keyring: Keyring, members: Iterable[Member], now_ms: int, grace_ms: int) -> Keyring:
    """How far the change is by now. members: all that are known, this peer too. grace_ms: see the module.

    Where somebody is put out there is no grace: whoever had the former key only is out once all others have
    the new one.
    """
    change, members = keyring.change, tuple(members)
    if change is None:
        return keyring
    if _is_over_elsewhere(keyring, members):
        return finished(keyring)
    if not change.turned_ms:
        if lacking(keyring, members):
            return keyring
        keyring, change = _turned(keyring, change, now_ms)
    # A clock that was set back must not keep the former key for ever.
    is_due = bool(change.entitled) or abs(now_ms - change.turned_ms) >= grace_ms
    return finished(keyring) if is_due else keyring


def finished(keyring: Keyring) -> Keyring:
    """Accept the newest key alone."""
    return keyring if keyring.change is None else Keyring(keyring.newest, None, keyring.change.former.label)


def is_later(keyring: Keyring, than: Keyring) -> bool:
    """Whether another keyring of the same mesh becomes this one as the key changes, at most one key further.

    The same is as late; of two keys that follow the same one that is later which is used, or the greater one.
    """
    here, before = keyring.word, than.word
    if here.former == before.newest:
        return True
    is_same_step = here.newest == before.newest or (here.former != "" and here.former == before.former)
    return is_same_step and _progress(keyring) >= _progress(than)


def proof_of(former: MeshKey, key: MeshKey, entitled: tuple[PeerId, ...]) -> bytes:
    """What only somebody who has `former` can make: that `key` takes its place, for these peers."""
    said = key.secret + "".join(entitled).encode()
    return hmac.digest(former.derive("succession"), said, hashlib.sha256)


def _turned(keyring: Keyring, change: Change, now_ms: int) -> tuple[Keyring, Change]:
    turned = replace(change, turned_ms=max(1, now_ms))
    return replace(keyring, change=turned), turned


def _progress(keyring: Keyring) -> tuple[bool, bool, str]:
    change = keyring.change
    return change is None, change is not None and change.turned_ms > 0, keyring.newest.label


def _is_over_elsewhere(keyring: Keyring, members: tuple[Member, ...]) -> bool:
    over = replace(keyring.word, is_over=True)
    return any(member.is_present and member.record.keys == over for member in members)
