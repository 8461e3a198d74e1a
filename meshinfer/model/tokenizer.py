"""A model's tokenizer and chat template, as mlx-lm loads and uses them."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from meshinfer.errors import BrokenModel, ModelError
from meshinfer.messages import Constraint

from .base import ModelFiles
from .chat_template import ChatTemplate
from .detokenizer import ByteLevelDetokenizer, WindowDetokenizer
from .foreign_code import needs_code
from .grammar import Grammars
from .language import Detokenizer, Markers, Matcher, Tokenizer
from .runtime import prepare_mlx
from .settings import read_settings
from .tool_calls import ToolCalls
from .trie import encode_bare
from .vocabulary import read_vocabulary

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
        self._template = ChatTemplate(wrapper)
        self._calls = ToolCalls(wrapper)
        self._vocabulary = read_vocabulary(wrapper)
        self._grammars = Grammars(self._vocabulary, encode_bare(wrapper))

    @property
    def markers(self) -> Markers:
        return self._calls.markers

    def knows(self, option: str) -> bool:
        return self._template.knows(option)

    def parse_call(self, text: str, tools: Sequence[Mapping[str, object]]) -> list[tuple[str, str]]:
        return self._calls.parse(text, tools)

    def token_bytes(self, token: int) -> bytes:
        return self._vocabulary.bytes_of(token)

    def grammar_fault(self, constraint: Constraint) -> str:
        return self._grammars.fault(constraint)

    def matcher(self, constraint: Constraint) -> Future[Matcher]:
        return self._grammars.matcher(constraint)

    def encode(self, text: str) -> tuple[int, ...]:
        # As mlx_lm.generate: a text that begins with the beginning-of-text token gets no second one.
        bos = self._wrapper.bos_token
        is_bare = bos is None or not text.startswith(bos)
        return tuple(self._wrapper.encode(text, add_special_tokens=is_bare))

    def encode_chat(
        self,
        messages: list[dict[str, object]],
        tools: list[dict[str, object]] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> tuple[int, ...]:
        return self._template.encode(messages, tools or [], options or {})

    def decode(self, tokens: tuple[int, ...]) -> str:
        return self._decode(list(tokens))

    def detokenizer(self, keeps_special: bool = False) -> Detokenizer:
        hidden: frozenset[int] = frozenset() if keeps_special else self._vocabulary.special
        if self._vocabulary.is_byte_level:
            return ByteLevelDetokenizer(self._vocabulary.table, hidden)
        decode = partial(self._decode, keeps_special=keeps_special)
        return WindowDetokenizer(decode, self._vocabulary.piece_of, hidden)

    def _decode(self, tokens: list[int], *, keeps_special: bool = False) -> str:
        # Cleaning up means to drop spaces before punctuation: good for no model that generates.
        text: str = self._wrapper.decode(
            tokens, skip_special_tokens=not keeps_special, clean_up_tokenization_spaces=False
        )
        return text
