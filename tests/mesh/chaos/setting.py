"""What all modes need: the model, its questions and their true answers, and the network if there is one."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mesh.chaos.mesh import ChaosMesh, chaos_mesh
from tests.mesh.chaos.network import Network
from tests.mesh.chaos.questions import POOL, REAL_LENGTH, TINY_LENGTH, Length, Question, Truths, question
from tests.mesh.chaos.reader import Heard
from tests.smollm2 import smollm2
from tests.tiny import make_tiny_model

TINY, SMOLLM2 = "tiny", "smollm2"
MODELS = (TINY, SMOLLM2)

_TINY_LAYERS = 6


@dataclass(slots=True)
class Setting:
    """names: of all peers that there may be. questions: how many different ones are asked.

    meshes: how many were made; each has a folder of its own.
    """

    scratch: Path
    model: Path
    length: Length
    memory_gb: float
    names: tuple[str, ...]
    network: Network | None
    truths: Truths
    questions: int = POOL
    meshes: int = 0

    def all_truths(self) -> dict[Question, Heard]:
        """Every question that readers may ask, with its undisturbed answer."""
        pool = [question(number, self.length) for number in range(self.questions)]
        return {asked: self.truths.of(asked) for asked in pool}

    @contextmanager
    def mesh(self, size: int) -> Iterator[ChaosMesh]:
        """A live ring of `size` peers; one more may join."""
        self.meshes += 1
        folder = self.scratch / f"mesh{self.meshes}"
        names = self.names[: size + 1]
        with chaos_mesh(names, size, self.model, folder, self.network, self.memory_gb) as mesh:
            yield mesh


@contextmanager
def setting(
    model: str, sizes: Sequence[int], *, has_network: bool, length: Length | None = None
) -> Iterator[Setting]:
    """Everything that runs have in common; at the end nothing of it is left. length: of answers."""
    names = tuple(f"p{number}" for number in range(max(sizes) + 1))
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="meshinfer-chaos-")))
        # Before the network: inside it there is no way out to fetch anything.
        if model == TINY:
            path, usual, memory_gb = make_tiny_model(scratch / TINY, layers=_TINY_LAYERS), TINY_LENGTH, 1.0
        else:
            path, usual, memory_gb = smollm2("float32").path, REAL_LENGTH, 2.0
        network = stack.enter_context(Network(names)) if has_network else None
        truths = stack.enter_context(Truths(path, scratch, memory_gb))
        yield Setting(scratch, path, length or usual, memory_gb, names, network, truths)
