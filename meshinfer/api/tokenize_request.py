"""The JSON of `POST /tokenize` and `POST /detokenize`, which vLLM's clients know."""

from typing import Annotated, Any

from pydantic import Field

from .openai_messages import ChatMessage
from .openai_tools import Tools
from .reading import Body
from .refusals import Refusals
from .values import MAX_TOKEN_ID

MAX_TOKENS = 1 << 20
"""Token ids of one request: more than any model's context."""

TokenId = Annotated[int, Field(ge=0, le=MAX_TOKEN_ID)]

REFUSED: Refusals = {
    "add_generation_prompt": (True,),
    "add_special_tokens": (),
    "chat_template": (),
    "continue_final_message": (False,),
    "mm_processor_kwargs": (),
}
"""A prompt is told as it would be answered, and in no other way."""


class TokenizeBody(Body):
    """The body of `POST /tokenize`: a prompt, or messages, as for an answer.

    return_token_strs: what each token stands for as well.
    """

    model: str | None = None
    prompt: str | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1)] | None = None
    tools: Tools | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    return_token_strs: bool | None = None


class DetokenizeBody(Body):
    """The body of `POST /detokenize`."""

    model: str | None = None
    tokens: Annotated[list[TokenId], Field(max_length=MAX_TOKENS)]
