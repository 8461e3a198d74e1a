"""A model that is cut to a shard's layers: what its caches are, and what it takes to build a graph on it."""

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache

from meshinfer.errors import StageFailed, UnsupportedModel
from meshinfer.messages import Tensor

from .ahead import Pass
from .anatomy import Anatomy
from .batching import have_batch_form, merge
from .cache import Caches, make_caches
from .loader import LoadedModel
from .prefixes import can_always_be_cut
from .quantised_kv import QuantisedKV, quantise_kv
from .slicing import Cut, recut, slice_model
from .tensor import DTYPES, take_states

MLX_ERRORS = (ValueError, TypeError, IndexError, KeyError, AttributeError, RuntimeError, MemoryError)
"""What mlx and mlx-lm raise in the midst of a computation."""


# No model has as many heads of any kind: rows must not be taken for heads where shapes are broadcast.
_TRIED_ROWS = 11


class SlicedModel:
    """Builds the graphs of one shard. What it says of the model is found out without evaluating anything.

    vocab_size: asked of the model itself, as not every config.json says it.
    hidden_dtypes: the types of a hidden state that may enter; empty where all layers are local.
    is_batchable: whether several sessions can be computed as one batch.
    is_lazy: whether a graph can be built before its input is there.
    is_trimmable: whether all its caches, those of other peers' layers too, can be cut anywhere.
    quantised: which of its caches are; None for none.
    """

    def __init__(self, loaded: LoadedModel, layers: range, layer_count: int) -> None:
        """Slice a loaded model for good.

        Raises:
            One of MLX_ERRORS, or StageFailed: the model fails as soon as it is called.
            UnsupportedModel: it does so with a quantised KV cache.
        """
        self._model: Any = loaded.model
        self._entering = _entering(loaded, layers)
        lead = 0 if loaded.anatomy is None else loaded.anatomy.lead
        self._cut = slice_model(loaded.model, layers, loaded.family, lead)
        self.is_head = layers.start == 0
        self.is_tail = layers.stop == layer_count
        self.is_lazy = loaded.family.is_lazy
        self.local_caches: frozenset[int] | None = None
        self.hidden_dtypes: frozenset[str] = frozenset()
        self.quantised: QuantisedKV | None = None
        if loaded.anatomy is not None:
            self.local_caches = loaded.anatomy.caches_of(layers)
            self.hidden_dtypes = self._find_hidden_dtypes(loaded, loaded.anatomy, layers)
        caches = self.make_caches()
        self.vocab_size = int(self._dry_run(caches, 1).logits.shape[-1])
        self.local_caches = self._find_written(caches)
        if loaded.kv_bits:
            self.quantised = quantise_kv(self.given_by(caches), caches.entries, loaded.kv_bits)
            self._try_quantised()
        entries = self.make_caches().entries
        self.is_trimmable = can_always_be_cut(entries)
        can_be_tried = loaded.family.is_batchable and have_batch_form(entries)
        self.is_batchable = can_be_tried and self._takes_a_batch()

    @property
    def is_closed(self) -> bool:
        """Whether the model is gone."""
        return self._model is None

    def make_caches(self, given: Mapping[int, Any] | None = None, length: int = 0) -> Caches:
        """Make a session's caches: empty ones, or with the `given` entries, which hold `length` tokens."""
        return make_caches(self._model, self.local_caches, given, length, self.quantised)

    def given_by(self, caches: Caches) -> dict[int, Any]:
        """The entries of local layers by their index, in order: `make_caches` takes them as `given`."""
        indexes = range(len(caches.entries)) if self.local_caches is None else sorted(self.local_caches)
        return {index: caches.entries[index] for index in indexes if caches.entries[index] is not None}

    def entering(self, tensors: tuple[Tensor, ...]) -> dict[str, Any]:
        """What a step brings, lazily, by name; nothing at the head.

        Raises:
            StageFailed: something is missing or too much, or the hidden state is of another type.
        """
        return {} if self.is_head else take_states(tensors, self._entering, self.hidden_dtypes)

    def build(self, tokens: Any, incoming: dict[str, Any], caches: Caches) -> Pass:
        """Build the graph for tokens (rows, n) and what enters with them, (rows, n, …) by name."""
        cut = self._cut
        cut.is_trimmed = tokens.shape[1] > 1
        cut.incoming = incoming
        try:
            logits = self._model(tokens, cache=caches.entries)
            return Pass(logits, cut.outgoing)
        finally:
            cut.clear()
            caches.advance(tokens.shape[1])

    def close(self) -> None:
        """Let go of the model and its weights. Calling it again does nothing."""
        self._cut = Cut()
        # Its modules refer to each other: the weights would stay until the garbage collector comes by.
        for module in [*self._model.modules()] if self._model is not None else ():
            module.clear()
        self._model = None

    def _find_written(self, caches: Caches) -> frozenset[int] | None:
        """The caches of local layers, without those of layers that leave theirs empty, as some do."""
        given = self.given_by(caches)
        idle = {index for index, entry in given.items() if type(entry) is KVCache and entry.keys is None}
        return frozenset(given.keys() - idle) if idle else self.local_caches

    def _find_hidden_dtypes(self, loaded: LoadedModel, anatomy: Anatomy, layers: range) -> frozenset[str]:
        """The types a hidden state may have here: those of local weights, and what comes of them.

        The residual stream of some models is wider than their weights from some layer on.
        """
        prefixes = tuple(f"{anatomy.layer_paths[layer]}." for layer in layers)
        floating = {
            weight.dtype
            for name, weight in loaded.weights.items()
            if name.startswith(prefixes) and mx.issubdtype(weight.dtype, mx.floating)
        }
        made = set()
        for dtype in floating:
            outgoing = self._dry_run(self.make_caches(), 1, dtype).outgoing
            made |= {outgoing["hidden"].dtype} if outgoing else set()
        return frozenset(name for name, dtype in DTYPES.items() if dtype in floating | made)

    def _try_quantised(self) -> None:
        """Find out whether the model computes with quantised caches, a prompt's piece and a step."""
        caches = self.make_caches()
        try:
            for tokens in (2, 1):
                self._dry_run(caches, tokens)
        except MLX_ERRORS as error:
            raise UnsupportedModel(
                f"mlx-lm cannot compute its attention with a quantised KV cache ({error}): leave kv_bits out"
            ) from error

    def _takes_a_batch(self) -> bool:
        """Whether a step of sessions of unequal length goes through, in the right shapes."""
        caches = [self.make_caches() for _ in range(_TRIED_ROWS)]
        try:
            # The longer one comes second: a state as long as the session takes in a shorter one unseen.
            lengths = [1, 2, *[1] * (_TRIED_ROWS - 2)]
            alone = [self._dry_run(*each).outgoing for each in zip(caches, lengths, strict=True)]
            made = self._dry_run(merge(caches), 1)
        except (*MLX_ERRORS, StageFailed):
            return False
        shapes = {name: array.shape for name, array in made.outgoing.items()}
        expected = {name: (_TRIED_ROWS, *array.shape[1:]) for name, array in alone[0].items()}
        return made.logits.shape == (_TRIED_ROWS, 1, self.vocab_size) and shapes == expected

    def _dry_run(self, caches: Caches, tokens: int, dtype: Any = mx.float32) -> Pass:
        """Build the graph of a step of some tokens a row, and evaluate nothing."""
        rows = caches.row_count
        incoming = {name: mx.zeros((rows, tokens, *width), dtype) for name, width in self._entering.items()}
        return self.build(mx.zeros((rows, tokens), mx.int32), incoming, caches)


def _entering(loaded: LoadedModel, layers: range) -> dict[str, tuple[int, ...]]:
    """What enters the first of some layers, by name, with the dimensions of one token's; nothing at the head.

    Where more than the hidden state does, the layers before it show what, in a run of which nothing is
    evaluated.
    """
    if layers.start == 0 or loaded.anatomy is None:
        return {}
    if not loaded.family.has_sides:
        return {"hidden": loaded.anatomy.width}
    before = range(layers.start)
    caches = make_caches(loaded.model, loaded.anatomy.caches_of(before))
    with recut(loaded.model, before, loaded.family, loaded.anatomy.lead) as cut:
        loaded.model(mx.zeros((1, 1), mx.int32), cache=caches.entries)
        return {name: tuple(array.shape[2:]) for name, array in cut.outgoing.items()}
