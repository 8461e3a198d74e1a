"""The files, card and tokenizer of a model that exists in simulations only."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from hashlib import blake2b
from pathlib import Path

from meshinfer.errors import RequestError
from meshinfer.messages import Constraint
from meshinfer.model.base import ModelCard, ModelFiles
from meshinfer.model.language import Detokenizer, Markers, Matcher, Tokenizer
from tests.simulation.shard import HIDDEN_BYTES, HYBRID, VOCAB_SIZE


def fake_model(
    layers: int = 4,
    layer_bytes: int | Sequence[int] = 100_000_000,
    *,
    name: str = "fake",
    source: str | None = None,
    embedding_bytes: int = 50_000_000,
    tail_bytes: int = 50_000_000,
    shared_bytes: int = 0,
    kv_bytes_per_token: int = 1_000,
    context_tokens: int = 4_096,
    stop_tokens: Sequence[int] = (),
    is_hybrid: bool = False,
) -> tuple[ModelFiles, ModelCard, Tokenizer]:
    """Make what `LocalModel(*…)` takes; the same arguments make the same fingerprint.

    layer_bytes: of each layer, or of every one. source: by default one that every peer can fetch.
    is_hybrid: its caches cannot be cut.
    """
    sizes = (layer_bytes,) * layers if isinstance(layer_bytes, int) else tuple(layer_bytes)
    if len(sizes) != layers:
        raise ValueError(f"{len(sizes)} sizes for {layers} layers")
    source = source or f"fake:{name}"
    content = repr(
        (name, sizes, embedding_bytes, tail_bytes, shared_bytes, context_tokens, tuple(stop_tokens))
    )
    card = ModelCard(
        name=name,
        source=source,
        fingerprint=blake2b(content.encode(), digest_size=16).hexdigest(),
        model_type=HYBRID if is_hybrid else "fake",
        precision="digests",
        hidden_size=HIDDEN_BYTES,
        vocab_size=VOCAB_SIZE,
        context_tokens=context_tokens,
        layer_bytes=sizes,
        layer_read_bytes=sizes,
        embedding_bytes=embedding_bytes,
        tail_bytes=tail_bytes,
        shared_bytes=shared_bytes,
        kv_bytes_per_token=(kv_bytes_per_token,) * layers,
        stop_tokens=tuple(stop_tokens),
        cuts=tuple(range(1, layers)),
    )
    return ModelFiles(name, source, Path("/nowhere") / name), card, FakeTokenizer()


class FakeTokenizer:
    """One token a byte on the way in; on the way out each token is its number and a space."""

    @property
    def markers(self) -> Markers:
        """None."""
        return Markers()

    def knows(self, option: str) -> bool:
        """Nothing."""
        return False

    def parse_call(self, text: str, tools: Sequence[Mapping[str, object]]) -> list[tuple[str, str]]:
        """None: it makes no calls."""
        raise ValueError("a fake model makes no tool calls")

    def token_bytes(self, token: int) -> bytes:
        """The number of a token."""
        return f"{token} ".encode()

    def grammar_fault(self, constraint: Constraint) -> str:
        """It keeps to no grammar."""
        return "a fake model keeps to no grammar"

    def matcher(self, constraint: Constraint) -> Future[Matcher]:
        """None: it keeps to no grammar."""
        made: Future[Matcher] = Future()
        made.set_exception(RequestError(self.grammar_fault(constraint), "response_format"))
        return made

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text: its bytes."""
        return tuple(text.encode())

    def encode_chat(
        self,
        messages: list[dict[str, object]],
        tools: list[dict[str, object]] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> tuple[int, ...]:
        """Token ids of a chat: its lines, each with its role."""
        return self.encode("".join(f"{each['role']}: {each['content']}\n" for each in messages))

    def decode(self, tokens: tuple[int, ...]) -> str:
        """The numbers of some tokens."""
        return "".join(f"{token} " for token in tokens)

    def detokenizer(self, keeps_special: bool = False) -> Detokenizer:
        """A fresh one, for one answer."""
        return FakeDetokenizer()


class FakeDetokenizer:
    """Holds nothing back."""

    def add(self, token: int) -> str:
        """The number of a token."""
        return f"{token} "

    def finish(self) -> str:
        """Nothing."""
        return ""
