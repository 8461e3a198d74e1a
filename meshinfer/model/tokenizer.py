"""A model's tokenizer and chat template, as mlx-lm loads and uses them."""

from pathlib import Path
from threading import Lock
from typing import Any

from meshinfer.errors import BrokenModel, ModelError, RequestError

from .base import Detokenizer, ModelFiles, Tokenizer
from .detokenizer import ByteLevelDetokenizer, WindowDetokenizer, byte_level_bytes
from .foreign_code import needs_code
from .runtime import prepare_mlx
from .settings import read_settings

_EXTRA = {
    # Unset, transformers would ask on the terminal whether to run a repository's code.
    "trust_remote_code": False,
    "local_files_only": True,
    # Only a warning on the log would come of it; the context's length is checked elsewhere.
    "model_max_length": 1 << 40,
}

_loading = Lock()


def load_tokenizer(files: ModelFiles) -> Tokenizer:
    """Load a model's tokenizer. Takes up to some seconds: use a thread, any one.

    Raises:
        BrokenModel: the files cannot be read, or hold more tokens than the model has embeddings for.
        UnsupportedModel: they need the repository's own code.
    """
    prepare_mlx()
    from mlx_lm.utils import load_tokenizer as load_wrapper

    # transformers imports its parts when they are first used, which is not safe in two threads.
    with _loading:
        try:
            wrapper = load_wrapper(files.path, dict(_EXTRA))
            tokenizer, ids = _HuggingFaceTokenizer(wrapper), wrapper.get_vocab().values()
        except Exception as error:  # the tokenizers library raises nothing finer
            raise _named(files, error) from error
    _check_vocabulary(files.path, max(ids, default=0))
    return tokenizer


def _check_vocabulary(path: Path, highest: int) -> None:
    """Check that the model has embeddings for all tokens; mlx would read some others' without a word."""
    rows = read_settings(path).vocab_size
    if rows is not None and highest >= rows:
        raise BrokenModel(
            f"{path}: the tokenizer has token ids up to {highest}, the model has embeddings for {rows} "
            "tokens: the two do not belong together; fetch the model again, or mend vocab_size in config.json"
        )


def _named(files: ModelFiles, error: Exception) -> ModelError:
    if "trust_remote_code" in str(error):
        return needs_code(files.path, "its tokenizer's code")
    return BrokenModel(f"{files.path}: the tokenizer cannot be loaded: {type(error).__name__}: {error}")


class _HuggingFaceTokenizer:
    """Wraps mlx-lm's TokenizerWrapper, which wraps a transformers tokenizer."""

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._hidden = _special_tokens(wrapper)
        pieces = wrapper.convert_ids_to_tokens(list(range(len(wrapper))))
        self._pieces: list[str | None] = list(pieces)
        self._token_bytes: list[bytes] | None = None
        if _is_byte_level(wrapper):
            self._token_bytes = byte_level_bytes(self._pieces, self._hidden)

    def encode(self, text: str) -> tuple[int, ...]:
        # As mlx_lm.generate: a text that begins with the beginning-of-text token gets no second one.
        bos = self._wrapper.bos_token
        is_bare = bos is None or not text.startswith(bos)
        return tuple(self._wrapper.encode(text, add_special_tokens=is_bare))

    def encode_chat(self, messages: list[dict[str, object]]) -> tuple[int, ...]:
        from jinja2 import TemplateError

        if not self._wrapper.has_chat_template:
            raise RequestError("this model has no chat template: use /v1/completions", "messages")
        try:
            return tuple(self._wrapper.apply_chat_template(messages, add_generation_prompt=True))
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            # A template is a program: it refuses some messages itself and trips over others.
            raise RequestError(
                f"the model's chat template refuses these messages: {error}", "messages"
            ) from error

    def decode(self, tokens: tuple[int, ...]) -> str:
        return self._decode(list(tokens))

    def detokenizer(self) -> Detokenizer:
        if self._token_bytes is not None:
            return ByteLevelDetokenizer(self._token_bytes)
        return WindowDetokenizer(self._decode, self._piece, self._hidden)

    def _decode(self, tokens: list[int]) -> str:
        # Cleaning up means to drop spaces before punctuation: good for no model that generates.
        text: str = self._wrapper.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _piece(self, token: int) -> str | None:
        return self._pieces[token] if 0 <= token < len(self._pieces) else None


def _special_tokens(wrapper: Any) -> frozenset[int]:
    added = wrapper.added_tokens_decoder
    return frozenset(number for number, token in added.items() if token.special)


def _is_byte_level(wrapper: Any) -> bool:
    """Whether every token is some bytes of UTF-8, in GPT-2's alphabet (slow tokenizers do not tell)."""
    from tokenizers.decoders import ByteLevel

    backend = getattr(wrapper, "backend_tokenizer", None)
    return isinstance(getattr(backend, "decoder", None), ByteLevel)
