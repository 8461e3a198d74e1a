"""From the bytes of a request to `/tokenize` or `/detokenize` to what is asked."""

from dataclasses import dataclass

from meshinfer.generation import Conversation

from .errors import invalid
from .openai_messages import kept_message, template_message
from .openai_tools import read_tools
from .question import Question
from .reading import json_object, validated
from .refusals import kept_fields
from .tokenize_request import REFUSED, DetokenizeBody, TokenizeBody


@dataclass(frozen=True, slots=True)
class ToTokenize:
    """A question whose prompt's tokens are asked for. has_texts: and what each of them stands for."""

    question: Question
    has_texts: bool


@dataclass(frozen=True, slots=True)
class ToDetokenize:
    """Tokens whose text is asked for."""

    tokens: tuple[int, ...]
    model: str | None


def to_tokenize(body: bytes) -> ToTokenize:
    """Read the body of `POST /tokenize`.

    Raises:
        ApiError: it is no JSON, or asks for what cannot be done; status 400, naming the field.
    """
    fields = kept_fields(json_object(body), TokenizeBody.model_fields, REFUSED, harmless=())
    if isinstance(messages := fields.get("messages"), list):
        fields["messages"] = [kept_message(number, message) for number, message in enumerate(messages)]
    asked = validated(TokenizeBody, fields)
    return ToTokenize(_question(asked), bool(asked.return_token_strs))


def to_detokenize(body: bytes) -> ToDetokenize:
    """Read the body of `POST /detokenize`.

    Raises:
        ApiError: it is no JSON, or holds what is no token; status 400, naming the field.
    """
    asked = validated(
        DetokenizeBody, kept_fields(json_object(body), DetokenizeBody.model_fields, {}, harmless=())
    )
    return ToDetokenize(tuple(asked.tokens), asked.model)


def _question(asked: TokenizeBody) -> Question:
    if (asked.prompt is None) == (asked.messages is None):
        raise invalid("give either prompt or messages", "prompt")
    if asked.prompt is not None:
        for name in ("tools", "chat_template_kwargs"):
            if getattr(asked, name) is not None:
                raise invalid(f"{name} goes with messages, not with prompt", name)
        return Question("tokenize", asked.prompt, "prompt", asked.model)
    messages = tuple(
        template_message(message, f"messages[{number}]")
        for number, message in enumerate(asked.messages or ())
    )
    conversation = Conversation(messages, options=asked.chat_template_kwargs or {})
    return Question("tokenize", conversation, model=asked.model, tools=read_tools(asked.tools or ()))
