"""From logits to a token: a pure function of logits, settings, history and (seed, position).

The order is mlx-lm's: bias and penalties on logits, filters on log-probabilities, temperature last. A
constraint's mask comes before the filters, so that these choose among what is allowed.
mlx-lm's own filters are not called: they are compiled around the global random state.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

from meshinfer.errors import StageFailed
from meshinfer.messages import LEAST_LOGPROB, Sampling, TokenLogprobs


def sample(
    logits: Any,
    sampling: Sampling,
    history: Sequence[int],
    answer_start: int,
    position: int,
    mask: bytes | None = None,
) -> tuple[Any, Any]:
    """Choose a token, lazily: (token, health), one number each, to be evaluated together.

    logits: (1, vocabulary), after the last token of `history`.
    history: all token ids of the session; those from `answer_start` on are the answer so far.
    position: index in the sequence of the token to be chosen; with `sampling.seed` it fixes the draw.
    mask: a bit for each token that may be chosen, the lowest id first, at least one; None allows all.
    health: finite if and only if the logits contain neither NaN nor +inf; see `check_health`.
    """
    health = mx.logsumexp(logits, keepdims=True)
    if mask is None and _is_plain(sampling):
        # Bit for bit what mlx-lm's greedy sampler does: in half precision the subtraction makes ties.
        return mx.argmax(logits - health, axis=-1), health
    logits = _adjusted(logits[0].astype(mx.float32), sampling, history, history[answer_start:])
    if mask is not None:
        logits = mx.where(_allowed(mask, logits.size), logits, -mx.inf)
    if sampling.temperature <= 0:
        return mx.argmax(logits), health
    logprobs = _filtered(logits - mx.logsumexp(logits), sampling)
    return mx.random.categorical(
        logprobs / sampling.temperature, key=draw_key(sampling.seed, position)
    ), health


@dataclass(frozen=True, slots=True)
class Draw:
    """What else a token is chosen by; see `sample`. top_logprobs: as in `Opening`."""

    sampling: Sampling
    history: Sequence[int]
    answer_start: int
    position: int
    mask: bytes | None = None
    top_logprobs: int | None = None


def sample_rows(logits: Any, draws: Sequence[Draw | None]) -> list[tuple[Any, Any] | None]:
    """Choose a token for each row of logits (rows, vocabulary) as `sample` does; none where no draw is."""
    greedy_health = mx.logsumexp(logits, axis=-1, keepdims=True)
    # Evaluated only where somebody asks for it: one kernel then serves all greedy rows.
    greedy = mx.argmax(logits - greedy_health, axis=-1)
    made: list[tuple[Any, Any] | None] = []
    for row, draw in enumerate(draws):
        if draw is None:
            made.append(None)
        elif len(draws) > 1 and draw.mask is None and _is_plain(draw.sampling):
            made.append((greedy[row], greedy_health[row]))
        else:
            one = logits[row : row + 1]
            chosen = sample(one, draw.sampling, draw.history, draw.answer_start, draw.position, draw.mask)
            made.append(chosen)
    return made


def logprobs_of(logits: Any, token: Any, top: int) -> tuple[Any, Any, Any]:
    """The model's own log-probabilities, lazily: (of `token`, the `top` likeliest tokens, of these).

    logits: (1, vocabulary), as for `sample`. token: as `sample` gives it.
    """
    logits = logits[0].astype(mx.float32)
    logprobs = logits - mx.logsumexp(logits)
    likeliest = mx.argpartition(-logprobs, kth=min(top, logprobs.size - 1))[:top]
    return logprobs[token].reshape(()), likeliest, logprobs[likeliest]


def read_logprobs(chosen: Any, tokens: Any, logprobs: Any) -> TokenLogprobs:
    """What `logprobs_of` gave, evaluated; the likeliest first, of equal ones the lower id."""
    pairs = sorted(zip(tokens.tolist(), logprobs.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
    return TokenLogprobs(_told(chosen.item()), tuple((token, _told(logprob)) for token, logprob in pairs))


def _told(logprob: float) -> float:
    # A sum in float32 may come out a little below what it is made of.
    return min(max(logprob, LEAST_LOGPROB), 0.0)


def check_health(health: float) -> None:
    """Refuse logits that are no numbers.

    Raises:
        StageFailed: NaN or infinity came out of the model.
    """
    if not math.isfinite(health):
        raise StageFailed(
            f"the model's logits are not finite (logsumexp {health}); a weight or a peer is broken"
        )


def draw_key(seed: int, position: int) -> Any:
    """The random key of one draw: equal wherever it is made, unrelated to its neighbours."""
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=8).digest()
    return mx.random.key(int.from_bytes(digest, "little"))


def _allowed(mask: bytes, vocab_size: int) -> Any:
    """A mask as (vocabulary,) of booleans; models have more logits than tokens."""
    bits: Any = np.unpackbits(np.frombuffer(mask, np.uint8), count=vocab_size, bitorder="little")
    return mx.array(bits.view(np.bool_))


def _is_plain(sampling: Sampling) -> bool:
    """Greedy, with nothing that changes the logits."""
    return (
        sampling.temperature <= 0
        and not sampling.logit_bias
        and sampling.repetition_penalty == 1
        and sampling.presence_penalty == 0
        and sampling.frequency_penalty == 0
    )


def _adjusted(logits: Any, sampling: Sampling, history: Sequence[int], answer: Sequence[int]) -> Any:
    """Apply bias and penalties to logits of shape (vocabulary,)."""
    bias = {token: value for token, value in sampling.logit_bias if 0 <= token < logits.size}
    if bias:
        logits = logits.at[mx.array(list(bias))].add(mx.array(list(bias.values()), mx.float32))
    window = sorted(set(history[-sampling.penalty_window :])) if sampling.penalty_window > 0 else []
    if sampling.repetition_penalty != 1 and window:
        logits = _repetition_penalised(logits, mx.array(window), sampling.repetition_penalty)
    counts = Counter(answer)
    if counts and (sampling.presence_penalty or sampling.frequency_penalty):
        tokens = sorted(counts)
        amounts = [sampling.presence_penalty + counts[token] * sampling.frequency_penalty for token in tokens]
        logits = logits.at[mx.array(tokens)].subtract(mx.array(amounts, mx.float32))
    return logits


def _repetition_penalised(logits: Any, tokens: Any, penalty: float) -> Any:
    """CTRL's penalty (https://arxiv.org/abs/1909.05858), by sign of the logit as mlx-lm has it."""
    seen = logits[tokens]
    penalised = mx.where(seen < 0, seen * penalty, seen / penalty)
    return mx.put_along_axis(logits, tokens, penalised, axis=0)


def _filtered(logprobs: Any, sampling: Sampling) -> Any:
    """Remove improbable tokens from log-probabilities of shape (vocabulary,); the likeliest one stays."""
    if 0 < sampling.top_p < 1:
        logprobs = _top_p(logprobs, sampling.top_p)
    if sampling.min_p > 0:
        least = mx.max(logprobs) + math.log(min(sampling.min_p, 1.0))
        logprobs = mx.where(logprobs < least, -mx.inf, logprobs)
    if 0 < sampling.top_k < logprobs.size:
        dropped = mx.argpartition(-logprobs, kth=sampling.top_k - 1)[sampling.top_k :]
        logprobs = mx.put_along_axis(logprobs, dropped, mx.array(-mx.inf, logprobs.dtype), axis=0)
    return logprobs


def _top_p(logprobs: Any, top_p: float) -> Any:
    """Keep the fewest of the likeliest tokens whose mass reaches `top_p` of the whole."""
    ascending = mx.sort(logprobs)
    probabilities = mx.exp(ascending)
    mass_above = mx.cumsum(probabilities, reverse=True, inclusive=False)
    total = mass_above[:1] + probabilities[:1]
    dropped = (mass_above >= top_p * total).sum(keepdims=True)
    threshold = mx.take(ascending, mx.minimum(dropped, logprobs.size - 1))
    return mx.where(logprobs < threshold, -mx.inf, logprobs)
