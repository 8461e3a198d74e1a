"""Models for plans, of nothing but numbers."""

from meshinfer.model.base import ModelCard, Sketch
from meshinfer.paper.peers import PaperPeer
from meshinfer.paper.plan import Wanted
from meshinfer.topology.desire import SPREAD_AUTO
from meshinfer.topology.ring import PeerId

GB = 10**9
MB = 10**6

ALONE = Wanted(context_tokens=1000, readers=1, spread=SPREAD_AUTO, chunk_tokens=2048, chunk_s=0.25)


def toy(
    layers: int = 10,
    layer_bytes: int = GB,
    *,
    read_bytes: int | None = None,
    ends_bytes: int = 0,
    kv_bytes: int = 0,
    experts: tuple[int, int] = (1, 1),
    parameters: int = 10**9,
    modules: int = 10,
    context_tokens: int = 100_000,
) -> Sketch:
    """A model of equal layers; experts: how many there are, and how many a token chooses."""
    card = ModelCard(
        name="toy",
        source="",
        fingerprint="",
        model_type="toy",
        precision="toy-bit",
        hidden_size=1000,
        vocab_size=1000,
        context_tokens=context_tokens,
        layer_bytes=(layer_bytes,) * layers,
        layer_read_bytes=(layer_bytes if read_bytes is None else read_bytes,) * layers,
        embedding_bytes=ends_bytes,
        tail_bytes=ends_bytes,
        shared_bytes=0,
        kv_bytes_per_token=(kv_bytes,) * layers,
        stop_tokens=(),
        cuts=tuple(range(1, layers)),
    )
    return Sketch(card, layers * parameters, (parameters,) * layers, (modules,) * layers, *experts)


def member(number: int, memory_bytes: int, measured_ns: int = 0) -> PaperPeer:
    """A member of a mesh that runs."""
    return PaperPeer(PeerId(f"{number:032x}"), f"peer-{number}", memory_bytes, measured_ns=measured_ns)
