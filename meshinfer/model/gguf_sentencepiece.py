"""SentencePiece vocabularies of GGUF files (Llama 2, Mistral): merges follow from the tokens' scores."""

from typing import Any

from meshinfer.errors import BrokenModel

from .gguf import Gguf
from .gguf_bpe import Bpe, bpe_model

_SPACE = "▁"


def sentence_pieces(gguf: Gguf, vocabulary: dict[str, int], unknown: int | None) -> Bpe:
    """Read a SentencePiece BPE vocabulary. unknown: the id of the token for what has no other.

    Raises:
        BrokenModel: scores and tokens do not fit together.
    """
    scores = [
        float(score) for score in gguf.need("tokenizer.ggml.scores", list) if isinstance(score, int | float)
    ]
    if len(scores) < len(vocabulary):
        raise BrokenModel(f"{gguf.path}: {len(vocabulary)} tokens, but {len(scores)} scores")
    tokens = list(vocabulary)
    model = bpe_model(
        vocabulary,
        _merges(vocabulary, scores),
        unk_token=None if unknown is None else tokens[unknown],
        fuse_unk=True,
        byte_fallback="<0x00>" in vocabulary,
    )
    replaced: dict[str, Any] = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    restored: dict[str, Any] = {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "}
    normalizers, decoders = [replaced], [restored, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if gguf.get("tokenizer.ggml.add_space_prefix", bool, True):
        normalizers.insert(0, {"type": "Prepend", "prepend": _SPACE})
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return Bpe(
        normalizer={"type": "Sequence", "normalizers": normalizers},
        pre_tokenizer=None,
        decoder={"type": "Sequence", "decoders": decoders},
        model=model,
        begins=True,
    )


def _merges(vocabulary: dict[str, int], scores: list[float]) -> list[list[str]]:
    """All ways to put a token together of two others: tokens by falling score, ways by the parts' ids."""
    merges: list[tuple[float, int, int, list[str]]] = []
    for token, number in vocabulary.items():
        for cut in range(1, len(token)):
            left, right = vocabulary.get(token[:cut]), vocabulary.get(token[cut:])
            if left is not None and right is not None:
                merges.append((-scores[number], left, right, [token[:cut], token[cut:]]))
    merges.sort(key=lambda merge: merge[:3])
    return [pair for _, _, _, pair in merges]
