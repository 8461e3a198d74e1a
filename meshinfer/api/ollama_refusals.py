"""What clients of Ollama's API send besides: refused by name, or harmless."""

from typing import Any

from pydantic import BaseModel

from .ollama_request import GenerateBody, OllamaChatBody, OllamaMessage, Options, ShowBody
from .refusals import Refusals, kept_fields

HARMLESS = frozenset({"keep_alive"})
"""How long a model stays loaded is for the mesh to say: it is one that all its readers share."""

REFUSED: Refusals = {"logprobs": (False,), "top_logprobs": (0,)}

REFUSED_OF_TEXTS: Refusals = {
    **REFUSED,
    "context": ([],),
    "height": (0,),
    "images": ([],),
    "steps": (0,),
    "suffix": ("",),
    "template": ("",),
    "width": (0,),
}

REFUSED_OF_SHOWN: Refusals = {"verbose": (False,)}

_REFUSED_OF: dict[type[BaseModel], Refusals] = {GenerateBody: REFUSED_OF_TEXTS, ShowBody: REFUSED_OF_SHOWN}

OPTIONS_HARMLESS = frozenset(
    {
        "f16_kv",
        "low_vram",
        "main_gpu",
        "mirostat_eta",
        "mirostat_tau",
        "num_batch",
        "num_ctx",
        "num_gpu",
        "num_keep",
        "num_thread",
        "numa",
        "use_mlock",
        "use_mmap",
    }
)
"""How Ollama's machine should compute: peers see to that themselves, and a model has its whole context."""

OPTIONS: Refusals = {
    "embedding_only": (False,),
    "logits_all": (False,),
    "mirostat": (0,),
    "penalize_newline": (True,),
    "tfs_z": (1.0, 1),
    "typical_p": (1.0, 1),
    "vocab_only": (False,),
}

_MESSAGE: Refusals = {"images": ([],)}


def kept_body(body: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The honoured fields of a body, of its options and of its messages.

    Raises:
        ApiError: a field is not supported, or unknown; the text names it.
    """
    kept = kept_fields(body, model.model_fields, _REFUSED_OF.get(model, REFUSED), harmless=HARMLESS)
    if isinstance(options := kept.get("options"), dict):
        kept["options"] = kept_fields(
            options, Options.model_fields, OPTIONS, "options.", harmless=OPTIONS_HARMLESS
        )
    if model is OllamaChatBody and isinstance(messages := kept.get("messages"), list):
        kept["messages"] = [_kept_message(number, message) for number, message in enumerate(messages)]
    return kept


def _kept_message(number: int, message: object) -> object:
    if not isinstance(message, dict):
        return message
    return kept_fields(message, OllamaMessage.model_fields, _MESSAGE, f"messages[{number}].", harmless=())
