"""Readers at one peer of a simulation: they ask, read, sometimes go away, and know what they must get."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from meshinfer.actors.actor import Tells
from meshinfer.actors.mail import Abandon, Begin, LocalModel, Sampled
from meshinfer.actors.requests import sink_for
from meshinfer.errors import MeshError, NoRing, Overloaded, RingBroken
from meshinfer.messages import Finish, Opening, Sampling, SessionId
from tests.simulation.ledger import Ledger
from tests.simulation.shard import VOCAB_SIZE, whole_answer

_ALLOWED = (NoRing, Overloaded, RingBroken)
_STOPS = 30
_TURNS = 0.4
_LONGEST = 100


@dataclass(slots=True)
class Tally:
    """What came of all requests: begun, answered, abandoned, tokens, and errors by kind."""

    counts: Counter[str] = field(default_factory=Counter)
    open: dict[str, float] = field(default_factory=dict)
    """Requests that go on, and since when."""
    _waiting: list["asyncio.Future[None]"] = field(default_factory=list)

    def all_done(self) -> "asyncio.Future[None]":
        """Make what is done once no request goes on."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._tell_if_done()
        return future

    def begin(self, session: str) -> None:
        """A request begins."""
        self.counts["begun"] += 1
        self.open[session] = asyncio.get_running_loop().time()

    def end(self, session: str) -> None:
        """It ended, somehow."""
        del self.open[session]
        self._tell_if_done()

    def _tell_if_done(self) -> None:
        if not self.open:
            for future in self._waiting:
                if not future.done():
                    future.set_result(None)


class Readers:
    """Ask through the mailbox of requests, as `Peer.generate` does. is_closed: no new ones come."""

    def __init__(
        self,
        origin: str,
        models: Sequence[LocalModel],
        random: Random,
        requests: Tells[Begin | Abandon],
        tally: Tally,
        ledger: Ledger,
    ) -> None:
        self._origin = origin
        self._models = models
        self._random = random
        self._requests = requests
        self._tally = tally
        self._ledger = ledger
        self._numbers = itertools.count(1)
        self._past: list[tuple[int, ...]] = []
        self.is_closed = False

    async def ask_on(self, every_s: float) -> None:
        """Let readers come until `is_closed`, and read to their ends."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(self._random.expovariate(1 / every_s))
                if self.is_closed:
                    return
                patience = None if self._random.random() < 0.9 else self._random.randint(0, 5)
                model = self._random.choice(self._models) if len(self._models) > 1 else self._models[0]
                tasks.create_task(self.ask(model, patience), name=f"reader at {self._origin}")

    async def ask(self, model: LocalModel, patience: int | None = None) -> MeshError | None:
        """Ask once, check what comes; return the error that ended it. patience: tokens until it goes away."""
        random, counts = self._random, self._tally.counts
        session = SessionId(f"{self._origin}-{next(self._numbers)}")
        prompt = self._prompt()
        stops = tuple(random.randrange(VOCAB_SIZE) for _ in range(random.choice([0, 0, _STOPS])))
        opening = Opening(Sampling(seed=random.getrandbits(32)), len(prompt), random.randint(1, 20), stops)
        sink = sink_for(opening.max_tokens)
        got: list[Sampled] = []
        error: MeshError | None = None
        card = model.card
        self._tally.begin(session)
        self._ledger.asks(session, card.fingerprint)
        try:
            await self._requests.tell(Begin(card.fingerprint, session, prompt, opening, sink))
            while len(got) != patience and not (got and got[-1].finish):
                item = await sink.get()
                if isinstance(item, MeshError):
                    error = item
                    break
                got.append(item)
                counts["tokens"] += 1
        finally:
            self._tally.end(session)
            self._check(session, prompt, opening, got, card.layer_count)
            self._requests.offer(Abandon(session))
        self._close(session, got, error)
        if error is None:
            self._past.append((*prompt, *(item.token for item in got)))
        return error

    def _prompt(self) -> tuple[int, ...]:
        """Something new, or an earlier chat's next turn."""
        random = self._random
        past = random.choice(self._past) if self._past and random.random() < _TURNS else ()
        new = random.randint(1, random.choice([12, 40]))
        return (*past[:_LONGEST], *(random.randrange(VOCAB_SIZE) for _ in range(new)))

    def _check(
        self,
        session: SessionId,
        prompt: tuple[int, ...],
        opening: Opening,
        got: list[Sampled],
        layers: int,
    ) -> None:
        if not got:
            return
        most, stops = opening.max_tokens, opening.stop_tokens
        tokens = tuple(item.token for item in got)
        is_whole = got[-1].finish is not None
        whole = whole_answer(prompt, most if is_whole else len(tokens), layers, stops, opening.sampling)
        self._ledger.require(tokens == whole, "answer", f"{session} reads {tokens}, the whole model {whole}")
        finish = Finish.STOP if tokens[-1] in stops else Finish.LENGTH
        is_right = not is_whole or got[-1].finish is finish
        self._ledger.require(is_right, "answer", f"{session} ends by {got[-1].finish}, not {finish}")

    def _close(self, session: SessionId, got: list[Sampled], error: MeshError | None) -> None:
        counts = self._tally.counts
        if error is None:
            counts["answered" if got and got[-1].finish else "abandoned"] += 1
            return
        counts[type(error).__name__] += 1
        words = f"{session} failed after {len(got)} tokens: {type(error).__name__}: {error}"
        self._ledger.require(isinstance(error, _ALLOWED), "error", words)
