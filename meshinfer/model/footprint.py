"""From a model's card to what the planner asks of peers."""

from meshinfer.topology.footprint import Footprint

from .base import ModelCard

# While a prompt goes through, this many times the hidden states of its piece live at once: queries, keys,
# values, and the feed-forward's gate and up, each some three times as wide as the model.
_TRANSIENT_STATES = 8
_TRANSIENT_ITEM_BYTES = 4
_HOP_ITEM_BYTES = 2


def model_footprint(card: ModelCard, kv_tokens: int, piece_tokens: int) -> Footprint:
    """What a model asks of its peers, with room for KV cache of `kv_tokens` and a piece of a prompt."""
    return Footprint(
        weight_bytes=card.layer_bytes,
        read_bytes=card.layer_read_bytes,
        kv_bytes=tuple(token_bytes * kv_tokens for token_bytes in card.kv_bytes_per_token),
        head_bytes=card.embedding_bytes,
        tail_bytes=card.tail_bytes,
        shared_bytes=card.shared_bytes,
        kv_tokens=kv_tokens,
        transient_bytes=piece_tokens * card.hidden_size * _TRANSIENT_ITEM_BYTES * _TRANSIENT_STATES,
        hop_bytes=card.hidden_size * _HOP_ITEM_BYTES,
        cuts=card.cuts,
    )
