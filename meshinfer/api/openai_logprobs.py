"""Log-probabilities of tokens, in the two shapes that OpenAI's API has for them."""

from collections.abc import Sequence

from meshinfer.generation import Choice

from .wording import Json


def chat_logprobs(tokens: Sequence[Choice]) -> Json:
    """As chats have them: each token with its bytes, and the likeliest in its place."""
    content = [{**_token(token), "top_logprobs": [_token(each) for each in token.top]} for token in tokens]
    return {"content": content, "refusal": None}


def completion_logprobs(tokens: Sequence[Choice], offsets: Sequence[int], *, has_top: bool) -> Json:
    """As completions have them: lists side by side. offsets: where each token begins in the text.

    has_top: whether alternatives were asked for.
    """
    top = [{token_name(each): each.logprob for each in (*token.top, token)} for token in tokens]
    return {
        "tokens": [token_name(token) for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": top if has_top else None,
        "text_offset": list(offsets),
    }


def token_name(token: Choice) -> str:
    """What a token is called where its bytes are not told: its text, or its bytes where they are no text."""
    try:
        return token.data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.data)


def _token(token: Choice) -> Json:
    return {"token": token.text, "logprob": token.logprob, "bytes": list(token.data)}
