"""The models of a mesh, as clients of Ollama's API list them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from meshinfer.loading import on_disk
from meshinfer.model.base import ModelCard
from meshinfer.topology.snapshot import MeshSnapshot, ModelView

from .ollama_translate import tagged_name
from .ollama_wording import rfc3339
from .wording import Json

_NEVER = "9999-12-31T23:59:59Z"
"""A model is unloaded when its memory is needed, not at a time that is known before."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model whose files this peer has. modified_s: when they were last changed, in seconds since 1970."""

    card: ModelCard
    modified_s: float


def tags_json(mesh: MeshSnapshot, known: Mapping[str, KnownModel]) -> Json:
    """What the mesh runs, and what lies on its disks. known: by name."""
    running = [_running(view, known.get(view.name)) for view in mesh.models]
    names = {view.name for view in mesh.models}
    idle = [_model(name, "", size, None) for name, size in _idle(mesh, names)]
    return {"models": running + idle}


def processes_json(mesh: MeshSnapshot, known: Mapping[str, KnownModel]) -> Json:
    """What a live ring serves now."""
    return {"models": [_process(view, known.get(view.name)) for view in mesh.models if view.is_live]}


def show_json(model: KnownModel | None, capabilities: list[str]) -> Json:
    """One model; None while this peer does not have its files."""
    return {
        "modified_at": rfc3339(model.modified_s if model else 0),
        "details": _details(model),
        "model_info": _info(model.card) if model else {},
        "capabilities": capabilities,
        # Which of these a model has is for its files to say; nothing is laid over them.
        "modelfile": "",
        "parameters": "",
        "template": "",
        "license": "",
    }


def _idle(mesh: MeshSnapshot, running: set[str]) -> Iterator[tuple[str, int]]:
    for name, copies in sorted(on_disk(mesh).items()):
        if name not in running:
            yield name, max(copy.size_bytes for copy in copies)


def _running(view: ModelView, model: KnownModel | None) -> Json:
    return _model(view.name, view.fingerprint, _size_bytes(model), model)


def _process(view: ModelView, model: KnownModel | None) -> Json:
    need_bytes = sum(stage.need_bytes for stage in view.ring)
    return {
        **_running(view, model),
        "size": need_bytes,
        "size_vram": need_bytes,
        "expires_at": _NEVER,
    }


def _model(name: str, digest: str, size_bytes: int, model: KnownModel | None) -> Json:
    shown = tagged_name(name)
    return {
        "name": shown,
        "model": shown,
        "modified_at": rfc3339(model.modified_s if model else 0),
        "size": size_bytes,
        "digest": digest,
        "details": _details(model),
    }


def _details(model: KnownModel | None) -> Json:
    family = model.card.model_type if model else ""
    return {
        "parent_model": "",
        "format": "safetensors",
        "family": family,
        "families": [family] if family else [],
        "parameter_size": "",
        "quantization_level": model.card.precision if model else "",
    }


def _info(card: ModelCard) -> Json:
    family = card.model_type
    return {
        "general.architecture": family,
        "general.basename": card.name,
        f"{family}.block_count": card.layer_count,
        f"{family}.context_length": card.context_tokens,
        f"{family}.embedding_length": card.hidden_size,
        f"{family}.vocab_size": card.vocab_size,
    }


def _size_bytes(model: KnownModel | None) -> int:
    if model is None:
        return 0
    card = model.card
    return sum(card.layer_bytes) + card.embedding_bytes + card.tail_bytes - card.shared_bytes
