"""How a shard takes a session over that another shard had begun: kept caches, and those computed anew."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from meshinfer.errors import StageFailed, UnsupportedModel
from meshinfer.messages import SessionId, Tensor

from .anatomy import Anatomy, survey
from .base import Kept
from .cache import Caches, make_caches
from .kept import HandedOn, KeptSession, States
from .loader import LoadedModel
from .quantised_kv import QuantisedKV
from .slicing import recut
from .tensor import DTYPES, lend_all, take_states


@dataclass(slots=True)
class _Missing:
    """Caches of layers that are computed anew. length: how many tokens were."""

    caches: Caches
    length: int = 0


@dataclass(slots=True)
class Refill:
    """A session on its way back. length: tokens that all caches hold at last. given: entries that do already.

    missing: what is computed anew, by its layers. source: what left the earlier shard, as it was kept.
    """

    length: int
    given: dict[int, Any]
    missing: dict[range, _Missing]
    source: HandedOn | None

    def handed_on(self, begin: int, end: int) -> tuple[Tensor, ...]:
        """The hidden states of some tokens, as they were kept.

        Raises:
            StageFailed: they are not there.
        """
        if self.source is None or not 0 <= begin < end <= self.source.length:
            raise StageFailed(f"hidden states of tokens {begin} to {end - 1} were not kept")
        return lend_all(self.source.part(begin, end))


class Refiller:
    """Works for one shard, on its model.

    hidden_dtypes: what may enter it; empty where it is whole. quantised: as for `make_caches`.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        fingerprint: str,
        layers: range,
        hidden_dtypes: frozenset[str],
        quantised: QuantisedKV | None,
    ) -> None:
        self._model = loaded.model
        self._family = loaded.family
        self._anatomy = loaded.anatomy
        self._fingerprint = fingerprint
        self._layers = layers
        self._hidden_dtypes = hidden_dtypes or frozenset(DTYPES)
        self._quantised = quantised

    def begin(self, session: SessionId, length: int, kept: Kept | None, missing: tuple[range, ...]) -> Refill:
        """Take over what is kept, and make room for what is missing.

        Raises:
            StageFailed: caches of other layers are not in `kept`, or not for so many tokens.
        """
        given = self._given(session, length, kept, missing)
        parts = {
            run: _Missing(make_caches(self._model, self._indexes(run), quantised=self._quantised))
            for run in missing
        }
        return Refill(length, given, parts, kept.states if isinstance(kept, KeptSession) else None)

    def _given(
        self, session: SessionId, length: int, kept: Kept | None, missing: tuple[range, ...]
    ) -> dict[int, Any]:
        held = [layer for layer in self._layers if not any(layer in run for run in missing)]
        if not held:
            return {}
        is_ours = isinstance(kept, KeptSession) and kept.fingerprint == self._fingerprint
        if not isinstance(kept, KeptSession) or not is_ours or not set(held) <= set(kept.layers):
            raise StageFailed(f"session {session}: caches of layers {held[0]} to {held[-1]} were not kept")
        entries = kept.trimmed(length)
        return {index: entries[index] for index in self._indexes(held) if index in entries}

    def _indexes(self, layers: Iterable[int]) -> frozenset[int]:
        """Which of the model's caches some layers use."""
        return self._surveyed().caches_of(layers)

    def _surveyed(self) -> Anatomy:
        """The model's anatomy, which a whole one was loaded without."""
        if self._anatomy is None:
            try:
                self._anatomy = survey(self._model, self._family)
            except UnsupportedModel as error:
                raise StageFailed(str(error)) from error
        return self._anatomy

    def fill(
        self,
        session: SessionId,
        refill: Refill,
        layers: range,
        position: int,
        tokens: tuple[int, ...],
        tensors: tuple[Tensor, ...],
    ) -> States:
        """Compute some missing layers for tokens; return what leaves the last of them, evaluated.

        Nothing leaves the model's last layer.

        Raises:
            StageFailed: it is not what comes next.
        """
        missing = refill.missing.get(layers)
        if missing is None:
            raise StageFailed(f"session {session}: caches of layers {layers} are not missing")
        end = position + len(tokens)
        if position != missing.length or end > refill.length:
            raise StageFailed(
                f"session {session}: tokens {position} to {end - 1} come to caches of "
                f"{missing.length} of {refill.length} tokens"
            )
        names = {"hidden", *(tensor.name for tensor in tensors)}
        incoming = take_states(tensors, names, self._hidden_dtypes) if layers.start != 0 else {}
        caches = missing.caches
        with recut(self._model, layers, self._family, self._surveyed().lead) as cut:
            cut.incoming = incoming
            self._model(mx.array(tokens, mx.int32)[None], cache=caches.entries)
            caches.advance(len(tokens))
            outgoing = cut.outgoing
        missing.length = end
        mx.eval(outgoing, caches.state)
        mx.clear_cache()
        if end == refill.length:
            refill.given |= {index: caches.entries[index] for index in self._indexes(layers)}
            del refill.missing[layers]
        return outgoing
