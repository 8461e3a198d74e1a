"""Readers who ask one question after another, of any peer, and hold each answer to the undisturbed one."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self

import httpx2

from tests.mesh.chaos.mesh import ChaosMesh
from tests.mesh.chaos.questions import Question
from tests.mesh.chaos.reader import ANSWER_S, Heard, read_answer, verdict
from tests.mesh.processes import PeerProcess
from tests.simulation.chance import Chance

_HEALTH_S = 5.0
_BREATH_S = 0.1
"""Before somebody whom nobody answered asks again."""


class End(StrEnum):
    """How a request ended."""

    EQUAL = "equal to the undisturbed answer"
    CUT = "cut short with the peer that was asked, killed"
    TURNED_AWAY = "asked again elsewhere, of a peer that was going"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and what came of it. wrong: why it failed."""

    reader: int
    peer: str
    question: Question
    heard: Heard
    end: End
    wrong: str = ""


@dataclass(slots=True)
class Readers:
    """`count` readers, each a thread. Leaving the context, each finishes the answer that it reads."""

    mesh: ChaosMesh
    truths: Mapping[Question, Heard]
    count: int
    chance: Chance
    asked: list[Asked] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    crashed: list[str] = field(default_factory=list)
    _served: set[int] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for number in range(self.count):
            thread = threading.Thread(
                target=self._read_on, args=(number,), name=f"reader {number}", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.is_over.set()
        # Where something failed, peers are about to go, and answers with them.
        until_s = time.monotonic() + (ANSWER_S if error is None else 0.0)
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))
            if thread.is_alive() and error is None:
                self.crashed.append(f"{thread.name} still reads after {ANSWER_S:.0f} s")

    @property
    def ends(self) -> Counter[End]:
        """How often requests ended in which way."""
        return Counter(asked.end for asked in self.asked)

    @property
    def failed(self) -> list[Asked]:
        """Those that should not have ended as they did."""
        return [asked for asked in self.asked if asked.end is End.FAILED]

    def _read_on(self, number: int) -> None:
        try:
            chance, questions = self.chance.stream(f"reader {number}"), list(self.truths)
            while not self.is_over.is_set():
                present = sorted(self.mesh.present)
                self._ask(number, chance.choice(present), chance.choice(questions))
        except Exception as error:
            self.crashed.append(f"reader {number} failed itself: {error!r}")

    def _was_up(self, peer: PeerProcess) -> bool:
        """Whether a peer has served since its start: nobody is sent to one that still fetches its files."""
        if peer.process.pid not in self._served and _serves(peer):
            self._served.add(peer.process.pid)
        return peer.process.pid in self._served

    def _ask(self, number: int, name: str, question: Question) -> None:
        peer = self.mesh.present.get(name)
        if peer is None:
            return
        if not self._was_up(peer):
            self.is_over.wait(_BREATH_S)
            return
        heard = read_answer(peer.url, question.body())
        is_going = self.mesh.present.get(name) is not peer
        is_killed = peer.process.pid in self.mesh.killed
        end, wrong = End.EQUAL, verdict(heard, self.truths[question], is_origin_lost=is_killed)
        if is_going and not heard.is_begun and not heard.is_whole:
            end, wrong = End.TURNED_AWAY, ""
        elif wrong:
            end = End.FAILED
        elif not heard.is_whole:
            end = End.CUT
        self.asked.append(Asked(number, name, question, heard, end, wrong))
        if not heard.is_begun:
            self.is_over.wait(_BREATH_S)


def _serves(peer: PeerProcess) -> bool:
    try:
        return httpx2.get(f"{peer.url}/health", timeout=_HEALTH_S, trust_env=False).status_code == 200
    except (AssertionError, httpx2.HTTPError):
        # It was killed, perhaps before it had said where it listens.
        return False
