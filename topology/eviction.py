"""Which models may make way where memory is short for another one, the least recently used first."""

from collections.abc import Iterable, Sequence

from .desire import DesiredModel, wanted_models
from .member import Member


def may_go(desires: Iterable[DesiredModel], members: Sequence[Member]) -> tuple[DesiredModel, ...]:
    """The models that may be unloaded for others, the least recently used first.

    Not those that a running peer was started with: only a person takes these back. Some may answer right
    now (`is_busy`), and are to be waited for.
    """
    kept = {member.record.started_with for member in members if member.is_present}
    loose = (model for model in wanted_models(desires) if model.fingerprint not in kept)
    return tuple(sorted(loose, key=lambda model: (used_ms(model, members), model.age)))


def used_ms(model: DesiredModel, members: Iterable[Member]) -> int:
    """When a model was last of use, in milliseconds since 1970: when it was asked, or else asked for."""
    told = (use.used_ms for m in members for use in m.record.uses if use.fingerprint == model.fingerprint)
    return max(model.created_ms, *told, 0)


def is_busy(model: DesiredModel, members: Iterable[Member]) -> bool:
    """Whether a model answers somebody right now, as the head of its ring tells."""
    return any(
        use.is_busy
        for member in members
        if member.is_present
        for use in member.record.uses
        if use.fingerprint == model.fingerprint
    )


def token_us(fingerprint: str, members: Iterable[Member]) -> int:
    """What one reader's token takes, by whoever measured it under a plan that it still heads; 0: nobody."""
    told = (
        use.token_us
        for member in members
        if member.is_present
        for use in member.record.uses
        if use.fingerprint == fingerprint
    )
    return max(told, default=0)
