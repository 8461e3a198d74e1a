"""From a question to the pieces of its answer: what a peer does for its own readers."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from typing import TypeVar

from .actors.actor import Mailbox
from .actors.mail import Abandon, Begin, LocalModel
from .actors.requests import RequestsMessage, sink_for
from .config import RequestLimits
from .errors import MeshError, Overloaded, RequestError
from .generation import Asked, Deadline, Piece, encode, opening_for, pieces
from .labels import current_label
from .ledger import Ledger, State
from .messages import Constraint, SessionId
from .places import Places
from .served import ServedModels

T = TypeVar("T")


class Asking:
    """Answers as many questions at once as its limits allow.

    texts: the one thread that may use tokenizers. requests: by whom sessions are begun and abandoned. ledger:
    told how answers fare. next_session: names each of them.
    """

    def __init__(
        self,
        *,
        models: ServedModels,
        texts: Executor,
        requests: Mailbox[RequestsMessage],
        ledger: Ledger,
        limits: RequestLimits,
        next_session: Callable[[], SessionId],
    ) -> None:
        self._models = models
        self._texts = texts
        self._requests = requests
        self._ledger = ledger
        self._limits = limits
        self._next_session = next_session
        self._places = Places(limits.max_open)

    @property
    def open_answers(self) -> int:
        """How many answers are being written."""
        return self._places.taken

    async def answer(self, asked: Asked) -> AsyncGenerator[Piece, None]:
        """Answer a question, piece by piece. Closing it cancels the answer. Raises: as `Peer.generate`."""
        session = self._next_session()
        known = self._models.known(asked.model)
        self._ledger.begin(session, current_label.get(), known, time.monotonic())
        state, outcome = State.CANCELLED, State.CANCELLED.value
        answer = self._answer(session, asked)
        try:
            async with aclosing(answer):
                async for piece in answer:
                    if piece.finish is not None:
                        state, outcome = State.ENDED, piece.finish.value
                    yield piece
        except MeshError as error:
            state, outcome = State.FAILED, type(error).__name__
            raise
        finally:
            self._ledger.end(session, state, outcome, time.monotonic())

    async def _answer(self, session: SessionId, asked: Asked) -> AsyncGenerator[Piece, None]:
        """What `answer` does, under the id of a session."""
        limits, loop = self._limits, asyncio.get_running_loop()
        deadline, began_s = Deadline.within(asked.deadline_s, limits.deadline_s), loop.time()
        local, tokens = await self.consult(
            asked.model, lambda local: (local, encode(local, asked.prompt)), deadline
        )
        opening = opening_for(local, tokens, asked, limits.default_max_tokens)
        self._ledger.understood(session, self._models.known(asked.model), len(tokens), time.monotonic())
        if (constraint := asked.constraint) is not None:
            fault = await deadline.bound(lambda: _fault_of(local, constraint))
            if fault:
                raise RequestError(fault, "response_format")
        self._places.take()
        sink = sink_for(opening.max_tokens)
        try:
            await self._requests.tell(Begin(local.card.fingerprint, session, tokens, opening, sink))
            async for piece in pieces(local, len(tokens), asked, sink, deadline):
                yield piece
        except Overloaded as error:
            # A ring's head refuses without knowing how long answers take.
            error.retry_after_s = self._places.retry_after_s
            raise
        finally:
            self._places.leave(loop.time() - began_s)
            await self._requests.tell(Abandon(session))

    async def consult(self, model: str | None, work: Callable[[LocalModel], T], deadline: Deadline) -> T:
        """Have `work` use a model's tokenizer, on the one thread that may. Raises: as `Peer.consult`."""
        local, loop = await self._models.ready(model, deadline), asyncio.get_running_loop()
        return await deadline.bound(lambda: loop.run_in_executor(self._texts, work, local))

    async def grammar_fault(self, model: str | None, constraint: Constraint) -> str:
        """Why answers of a model cannot be held to a constraint; empty if they can.

        Raises:
            WrongModel: the mesh runs no model of this name. NoRing: this peer has no files of it (yet).
        """
        return await _fault_of(self._models.find(model), constraint)


async def _fault_of(local: LocalModel, constraint: Constraint) -> str:
    return await asyncio.to_thread(local.tokenizer.grammar_fault, constraint)
