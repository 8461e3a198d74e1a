"""How clients of OpenAI's API are told of models."""

from dataclasses import asdict, dataclass

from .wording import Json


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Token ids are below vocab_size; prompt and answer together take at most context_tokens."""

    vocab_size: int
    context_tokens: int


def model_json(name: str, created: int, size: ModelSize | None, *, is_loaded: bool = True) -> Json:
    """One entry of the models. Beyond what OpenAI tells: its size where it is known, and whether it is
    loaded, or only lies on a disk of the mesh.
    """
    entry = {"id": name, "object": "model", "created": created, "owned_by": "meshinfer"}
    return {**entry, **(asdict(size) if size else {}), "is_loaded": is_loaded}
