"""What is missing where no ring can be made, in words and numbers for people."""

from collections.abc import Sequence

from .desire import SPREAD_ALL, SPREAD_AUTO
from .question import Candidate, Infeasible, Question

NAMED = 8
"""Peers that a reason names; the others are counted."""

HINT = "; `meshinfer plan` tells what would fit"
"""The end of every reason that is about memory."""

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
        missing_bytes = _missing_bytes(question)
        missing = f", {size_text(missing_bytes)} too little" if missing_bytes > 0 else ""
        return Infeasible(f"{_balance(question)}{missing}: {_ADVICE}{_shorter_context(question)}{HINT}")
    if len(parts) > 1:
        sides = " and ".join(_names(part) for part in parts[:2])
        return Infeasible(
            f"{_balance(question)}, but there is no way between {sides}: mend the network, or {_ADVICE}{HINT}"
        )
    over = f" over {spread} peers" if spread > 0 else ""
    largest_bytes = max(footprint.stage_bytes(*part) for part in footprint.parts)
    what = "whole layers" if most == layers else "layers that must stay together"
    return Infeasible(
        f"{_balance(question)}, but no cut fits{over}: stages are {what}, of up to "
        f"{size_text(largest_bytes)}: {_ADVICE}{HINT}"
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


def _missing_bytes(question: Question) -> int:
    have_bytes = sum(candidate.memory_bytes for candidate in question.candidates)
    return question.footprint.total_bytes - have_bytes


def _shorter_context(question: Question) -> str:
    """How much context would fit beside the weights, if any does: over all peers, whatever the cuts."""
    footprint = question.footprint
    cache_bytes = sum(footprint.kv_bytes)
    left_bytes = cache_bytes - _missing_bytes(question)
    if not 0 < left_bytes < cache_bytes or not footprint.kv_tokens:
        return ""
    tokens = footprint.kv_tokens * left_bytes // cache_bytes
    return f"; of the {footprint.kv_tokens:,} tokens of context that are reserved, {tokens:,} would fit"


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
