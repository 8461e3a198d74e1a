"""Where a model's tensors belong, and so which of them a stage needs: from names alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from meshinfer.errors import BrokenModel

from .safetensors import StoredTensor
from .settings import Settings

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|(kv_reuse_layers))\.(\d{1,6})\.(.+)")
# mlx-lm drops these when it loads: other senses, extra prediction heads, constants.
_DROPPED = re.compile(
    r"(^|\.)(vision\w*|visual|image\w*|audio\w*|multi_modal_projector|mm_\w+|embed_vision|mtp\w*)\.|rotary_emb\.inv_freq$"
)
_HEAD = re.compile(r"(^|\.)(lm_head\w*(\.|$)|(embed_out|output|output_layer|head|ff_out)\.(?!.*\.))")
# What makes the first layer's input of the embeddings, and never logits of the last one's output.
_ENTRY = re.compile(r"(^|\.)(\w+_per_layer|per_layer_\w+|altup_projections|wpe)\.")
_EMBEDDING = re.compile(r"(^|\.)((?!\w*unembed)\w*embed\w*|wte|tok_embeddings|emb)\.")
# Read when a model is built (prism_hadamard_qwen35), all of them.
_EVERYWHERE = re.compile(r"\.signs$")
_NORM = re.compile(r"(^|\.)(\w*norm\w*|ln_f|ln_out|norm_f|altup_unembed_projections)\.")


@dataclass(slots=True)
class Places:
    """A model's tensors by where they belong.

    layers: by the name within the layer, which begins after its number; the others by their full name.
    entry: what stands before the first layer beside the embedding. head: empty where the embedding is the
    head too. norm: what stands behind the last layer beside the head. unknown: what no pattern tells; any
    stage may need it.
    """

    layers: list[dict[str, StoredTensor]]
    entry: dict[str, StoredTensor] = field(default_factory=dict)
    embedding: dict[str, StoredTensor] = field(default_factory=dict)
    head: dict[str, StoredTensor] = field(default_factory=dict)
    norm: dict[str, StoredTensor] = field(default_factory=dict)
    unknown: dict[str, StoredTensor] = field(default_factory=dict)

    @property
    def is_tied(self) -> bool:
        """Whether the tail needs the embedding for want of a head of its own."""
        return not self.head

    def needed(self, layers: range) -> dict[str, StoredTensor]:
        """The tensors, by full name, that a stage of `layers` loads."""
        groups = [self.unknown, self._everywhere(), *(self.layers[layer] for layer in layers)]
        is_head, is_tail = layers.start == 0, layers.stop == len(self.layers)
        if is_head:
            groups.append(self.entry)
        if is_head or (is_tail and self.is_tied):
            groups.append(self.embedding)
        if is_tail:
            groups += [self.norm, self.head]
        return {tensor.name: tensor for group in groups for tensor in group.values()}

    def _everywhere(self) -> dict[str, StoredTensor]:
        groups = (*self.layers, self.entry, self.embedding, self.head, self.norm)
        tensors = (tensor for group in groups for tensor in group.values())
        return {tensor.name: tensor for tensor in tensors if _EVERYWHERE.search(tensor.name)}


def sort_tensors(settings: Settings, tensors: Mapping[str, StoredTensor]) -> Places:
    """Sort a model's tensors; what mlx-lm drops belongs nowhere, nor what an adapter has anew.

    tensors: an adapter's come last.

    Raises:
        BrokenModel: config.json says other layers than the files hold, or there are no embeddings.
    """
    places = Places([{} for _ in range(settings.layer_count)])
    for name, tensor in tensors.items():
        if _DROPPED.search(name):
            continue
        in_layer = _LAYER.search(name)
        if in_layer is not None:
            # Those that read other layers' keys and values are counted anew, behind the others.
            number = int(in_layer[2]) + (settings.layer_count - settings.reusing if in_layer[1] else 0)
            if number < settings.layer_count:
                places.layers[number][in_layer[3]] = tensor
            elif number >= settings.layer_count + settings.extra_layers:
                raise BrokenModel(
                    f"{settings.path}: {tensor.file.name} holds {name}, "
                    f"but config.json says {settings.layer_count} layers"
                )
        else:
            _outside(places, name)[name] = tensor
    for number, layer in enumerate(places.layers):
        if not layer:
            raise BrokenModel(
                f"{settings.path}: layer {number} of {settings.layer_count} has no tensors in the files"
            )
    if not places.embedding:
        raise BrokenModel(f"{settings.path}: no token embeddings in the files")
    if settings.is_tied:
        places.head.clear()
    return places


def _outside(places: Places, name: str) -> dict[str, StoredTensor]:
    """Where a tensor belongs that is in no layer."""
    if _HEAD.search(name):
        return places.head
    if _ENTRY.search(name):
        return places.entry
    if _EMBEDDING.search(name):
        return places.embedding
    return places.norm if _NORM.search(name) else places.unknown
