"""Rings of real processes, held against mlx-lm in one process, token for token."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.processes import Answer, PeerProcess, ring, wait_for_ring
from tests.reference import greedy_text, greedy_tokens
from tests.smollm2 import smollm2
from tests.tiny import make_tiny_model

pytestmark = pytest.mark.mesh

SIZES = {"tiny": (1, 4), "float32": (3,)}
"""How many peers share each model; a real one takes its time, and is cut in two where it is quantised."""

LONG = {"float32": [pytest.mark.long]}
"""A ring of two of it is held against mlx-lm by OpenAI's client."""

RINGS = [
    pytest.param(model, size, marks=LONG.get(model, [])) for model, sizes in SIZES.items() for size in sizes
]
SEEDED = {"temperature": 0.8, "top_p": 0.95, "seed": 20_240}


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, as it stands or as one turn of a chat, and how long its answer may be."""

    prompt: str
    is_chat: bool
    max_tokens: int = 24

    def asked_of(self, peer: PeerProcess, **fields: object) -> Answer:
        return peer.answer(self.prompt, self.max_tokens, is_chat=self.is_chat, **fields)


@dataclass(frozen=True, slots=True)
class Case:
    """A model, and what its rings are asked."""

    path: Path
    questions: tuple[Question, ...]


@cache
def truth(path: Path, question: Question) -> Answer:
    """What mlx-lm answers in one process."""
    asked = path, question.prompt, question.max_tokens
    tokens = len(greedy_tokens(*asked, is_chat=question.is_chat))
    text = greedy_text(*asked, is_chat=question.is_chat)
    # A peer counts the token that ends an answer, which is no part of it.
    is_full = tokens == question.max_tokens
    return Answer(text, "length" if is_full else "stop", tokens if is_full else tokens + 1)


@dataclass(frozen=True, slots=True)
class Heard:
    """All that a ring was asked, by the peer that was asked; and the mesh as all of them showed it."""

    mesh: dict[str, Any]
    greedy: dict[tuple[str, Question], Answer]
    seeded: dict[tuple[str, Question], Answer]


Hear = Callable[[str, int], Heard]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    fox, story = Question("The quick brown fox", False), Question("Tell me a story of a fox.", True)
    france = Question("The capital of France is", False, 8)
    tiny = make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", layers=5, seed=3)
    return {
        "tiny": Case(tiny, (fox, story)),
        "float32": Case(smollm2("float32").path, (Question(story.prompt, True, 12),)),
        "q4": Case(smollm2("q4").path, (france,)),
    }


@pytest.fixture(scope="module")
def hear(cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Hear:
    """Ask a ring of some size everything, once: it is gone before the next one starts."""

    @cache
    def ask(model: str, size: int) -> Heard:
        case = cases[model]
        with ring(size, case.path, tmp_path_factory.mktemp("ring")) as peers:
            asked = [(peer, question) for peer in peers for question in case.questions]
            ends = [(peer, question) for peer, question in asked if peer in (peers[0], peers[-1])]
            return Heard(
                mesh=wait_for_ring(peers),
                greedy={(peer.name, question): question.asked_of(peer) for peer, question in asked},
                seeded={(peer.name, question): question.asked_of(peer, **SEEDED) for peer, question in ends},
            )

    return ask


@pytest.mark.parametrize(("model", "size"), RINGS)
def test_every_peer_of_a_ring_answers_as_mlx_lm_does_in_one_process(
    hear: Hear, cases: dict[str, Case], model: str, size: int
) -> None:
    path, heard = cases[model].path, hear(model, size)
    assert heard.greedy == {(name, question): truth(path, question) for name, question in heard.greedy}


@pytest.mark.parametrize(("model", "size"), RINGS)
def test_every_peer_shows_the_same_mesh_with_every_layer_held_once(hear: Hear, model: str, size: int) -> None:
    # None of them would have been asked anything otherwise.
    mesh = hear(model, size).mesh
    assert len(mesh["ring"]) == len(mesh["members"]) == size
    held = [layer for stage in mesh["ring"] for layer in range(*stage["layers"])]
    assert held == list(range(mesh["plan"]["layer_count"]))


@pytest.mark.parametrize("model", [pytest.param(model, marks=LONG.get(model, [])) for model in SIZES])
def test_a_seeded_draw_is_the_same_in_rings_of_any_size_and_from_either_end(
    hear: Hear, cases: dict[str, Case], model: str
) -> None:
    for question in cases[model].questions:
        rings = [hear(model, size) for size in SIZES[model]]
        drawn = {
            answer for heard in rings for (_, asked), answer in heard.seeded.items() if asked == question
        }
        assert len(drawn) == 1
        assert drawn != {rings[0].greedy["p0", question]}


def test_a_quantised_model_answers_the_same_when_it_is_split(hear: Hear, cases: dict[str, Case]) -> None:
    path, heard = cases["q4"].path, hear("q4", 2)
    assert heard.greedy == {(name, question): truth(path, question) for name, question in heard.greedy}
