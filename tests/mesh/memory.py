"""What a peer may use at rest, and what it does use."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from meshinfer.model.base import ModelCard, ModelFiles
from meshinfer.model.card import read_card
from tests.mesh.processes import PeerProcess

SHARE = 1.10
BASE_BYTES = 300_000_000
"""What a peer takes at most beside its weights: Python, mlx, the tokenizer, the API."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A peer's part of a model, and the memory that it takes. layers: first, end."""

    name: str
    layers: tuple[int, int]
    weight_bytes: int
    rss_bytes: int

    @property
    def limit_bytes(self) -> int:
        return int(self.weight_bytes * SHARE) + BASE_BYTES

    @property
    def is_within(self) -> bool:
        return self.rss_bytes <= self.limit_bytes


def card_of(path: Path) -> ModelCard:
    return read_card(ModelFiles(path.name, f"dir:{path}", path))


def holdings(peers: Sequence[PeerProcess], mesh: dict[str, Any], card: ModelCard) -> list[Holding]:
    """Weigh each peer now."""
    stages = {stage["name"]: (stage["layers"][0], stage["layers"][1]) for stage in mesh["ring"]}
    return [
        Holding(
            name=peer.name,
            layers=stages[peer.name],
            weight_bytes=weight_bytes(card, *stages[peer.name]),
            rss_bytes=int(psutil.Process(peer.process.pid).memory_info().rss),
        )
        for peer in peers
    ]


def weight_bytes(card: ModelCard, first: int, end: int) -> int:
    """The weights of layers first, …, end - 1, with embeddings or head where they are needed."""
    is_head, is_tail = first == 0, end == card.layer_count
    ends_bytes = is_head * card.embedding_bytes + is_tail * card.tail_bytes
    return sum(card.layer_bytes[first:end]) + ends_bytes - (is_head and is_tail) * card.shared_bytes
