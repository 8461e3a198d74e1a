"""What is missing where no ring can be made, in words and numbers for people."""

from collections.abc import Sequence

from .desire import SPREAD_ALL, SPREAD_AUTO
from .question import Candidate, Infeasible, Question

NAMED = 8
"""Peers that a reason names; the others are counted."""

_ADVICE = "add a peer, give more with --memory, or take a smaller model"


def shortfall(question: Question, holders: int, parts: Sequence[Sequence[Candidate]]) -> Infeasible:
    """Say why `question` has no ring.

    holders: how many candidates have room for a layer. parts: those of them that reach each other.
    """
    model, spread, footprint = question.model, question.spread, question.footprint
    layers, most = footprint.layer_count, len(footprint.parts)
    if not question.candidates:
        return Infeasible(f"no peer has the files of {model}")
    if spread not in (SPREAD_AUTO, SPREAD_ALL):
        if spread > layers:
            return Infeasible(
                f"{model} has {layers} layer{'s' if layers > 1 else ''}, too few for {spread} peers"
            )
        if spread > most:
            return Infeasible(
                f"{model} can be cut into {most} parts at most, too few for {spread} peers"
                if most > 1
                else f"{model} cannot be cut: its layers run on one peer, and {spread} are asked for"
            )
        if spread > max(1, holders):
            return Infeasible(f"{model} is to be spread over {spread} peers, {holders} can hold layers")
    have_bytes = sum(candidate.memory_bytes for candidate in question.candidates)
    if have_bytes < footprint.total_bytes:
        return Infeasible(f"{_balance(question)}: {_ADVICE}")
    if len(parts) > 1:
        sides = " and ".join(_names(part) for part in parts[:2])
        return Infeasible(
            f"{_balance(question)}, but there is no way between {sides}: mend the network, or {_ADVICE}"
        )
    over = f" over {spread} peers" if spread > 0 else ""
    largest_bytes = max(footprint.stage_bytes(*part) for part in footprint.parts)
    what = "whole layers" if most == layers else "layers that must stay together"
    return Infeasible(
        f"{_balance(question)}, but no cut fits{over}: stages are {what}, of up to "
        f"{size_text(largest_bytes)}: {_ADVICE}"
    )


def size_text(size_bytes: int) -> str:
    """A size for people: in GB, or in MB where it is less than one."""
    if size_bytes >= 10**9:
        return f"{_rounded(size_bytes, 10**9, digits=size_bytes < 10**11)} GB"
    return f"{_rounded(size_bytes, 10**6, digits=size_bytes < 10**7)} MB"


def _balance(question: Question) -> str:
    roomiest = sorted(question.candidates, key=lambda c: (-c.memory_bytes, c.name, c.peer))
    have_bytes = sum(candidate.memory_bytes for candidate in roomiest)
    each = ", ".join(f"{c.name} {size_text(c.memory_bytes)}" for c in roomiest[:NAMED])
    more = f", {len(roomiest) - NAMED} more" if len(roomiest) > NAMED else ""
    return (
        f"{question.model} needs {size_text(question.footprint.total_bytes)} with its KV cache; "
        f"{len(roomiest)} peer{'s offer' if len(roomiest) > 1 else ' offers'} {size_text(have_bytes)} "
        f"({each}{more})"
    )


def _names(part: Sequence[Candidate]) -> str:
    names = sorted(candidate.name for candidate in part)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _rounded(size_bytes: int, unit: int, digits: bool) -> str:
    """`size_bytes` in units, with one digit behind the point or none; integers only."""
    if not digits:
        return str((size_bytes + unit // 2) // unit)
    tenths = (size_bytes * 10 + unit // 2) // unit
    return f"{tenths // 10}.{tenths % 10}"
