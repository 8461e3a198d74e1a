"""From a question to the parts of its answer: the peer's pieces, as what they mean."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

from meshinfer.errors import RequestError
from meshinfer.generation import Deadline
from meshinfer.messages import Constraint, ConstraintKind, Sampling

from .approach import Approach, approach_to
from .choice import ChoiceReader
from .delta import Delta, Text
from .field_names import as_sent
from .merging import merged
from .question import Question

if TYPE_CHECKING:
    from meshinfer.peer import Peer


async def answer(
    peer: "Peer", question: Question, deadline_s: float | None, token: str
) -> AsyncGenerator[Delta]:
    """The parts of an answer, those of several choices mixed. Closing it cancels the answer.

    token: makes the ids of its calls.

    Raises:
        MeshError: those of `Peer.generate`.
    """
    deadline = Deadline.within(deadline_s, peer.config.requests.deadline_s)
    approach = await peer.consult(question.model, partial(approach_to, question), deadline)
    if approach.calls is not None and approach.constraint is not None:
        await deadline.bound(partial(_check_tools, peer, question, approach.constraint))
    numbers = range(len(approach.prompts) * question.choices)
    choices = [_choice(peer, question, approach, number, deadline_s, token) for number in numbers]
    async with aclosing(merged(choices)) as deltas:
        try:
            while (delta := await deadline.bound(partial(anext, deltas, None))) is not None:
                yield delta
        except RequestError as error:
            raise as_sent(error, question.dialect) from error


async def _choice(
    peer: "Peer",
    question: Question,
    approach: Approach,
    number: int,
    deadline_s: float | None,
    token: str,
) -> AsyncGenerator[Delta]:
    place = number // question.choices
    reader = ChoiceReader(number, approach, token)
    if approach.echoes[place]:
        yield Text(number, approach.echoes[place])
    pieces = peer.generate(
        approach.prompts[place],
        max_tokens=question.max_tokens,
        sampling=sampling_of(question.sampling, number),
        stop=question.stop,
        model=question.model,
        deadline_s=deadline_s,
        ignores_stops=question.ignores_stops,
        constraint=approach.constraint,
        top_logprobs=question.top_logprobs,
        keeps_special=approach.keeps_special,
    )
    async with aclosing(pieces):
        async for piece in pieces:
            for delta in reader.read(piece):
                yield delta
            if reader.is_over:
                # What would follow is not wanted.
                return


def sampling_of(sampling: Sampling, choice: int) -> Sampling:
    """How one of several choices is sampled: the first as if alone, each other by a seed of its own."""
    if not choice:
        return sampling
    digest = blake2b(f"{sampling.seed} {choice}".encode(), digest_size=8, person=b"choice").digest()
    return replace(sampling, seed=int.from_bytes(digest, "big") >> 1)


async def _check_tools(peer: "Peer", question: Question, constraint: Constraint) -> None:
    """Find the tool at fault, where calls cannot be forced.

    Raises:
        RequestError: that is so.
    """
    fault = await peer.grammar_fault(question.model, constraint)
    if not fault:
        return
    for number, tool in enumerate(question.tools):
        own = await peer.grammar_fault(question.model, Constraint(ConstraintKind.SCHEMA, tool.schema))
        if own:
            raise RequestError(f"calls of {tool.name} cannot be forced: {own}", f"tools[{number}]")
    raise as_sent(
        RequestError(fault, "response_format" if question.constraint else "tools"), question.dialect
    )
