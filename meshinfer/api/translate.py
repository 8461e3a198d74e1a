"""From the bytes of a request of OpenAI's API to a question: checks all that needs no model."""

from collections.abc import Mapping

from meshinfer.generation import Conversation, Prompt
from meshinfer.messages import Sampling

from .answering import Asked
from .errors import invalid
from .openai_chat import ChatWording
from .openai_completion import CompletionWording
from .openai_format import read_format
from .openai_messages import kept_message, template_message
from .openai_request import ChatBody, CompletionBody, QuestionBody
from .openai_tools import read_tool_choice, read_tools
from .question import Question
from .reading import json_object, validated
from .refusals import CHAT, COMPLETION, kept_fields
from .values import describe


def chat_question(body: bytes) -> Asked:
    """Read the body of `POST /v1/chat/completions`.

    Raises:
        ApiError: it is no JSON, or asks for what cannot be done; status 400, naming the field.
    """
    fields = kept_fields(json_object(body), ChatBody.model_fields, CHAT)
    if isinstance(messages := fields.get("messages"), list):
        fields["messages"] = [kept_message(number, message) for number, message in enumerate(messages)]
    chat = validated(ChatBody, fields)
    messages = tuple(
        template_message(message, f"messages[{number}]") for number, message in enumerate(chat.messages)
    )
    tools, choice = read_tool_choice(
        read_tools(chat.tools or ()), chat.tool_choice, is_parallel=chat.parallel_tool_calls is not False
    )
    question = Question(
        dialect="chat",
        prompt=Conversation(messages, options=_template_options(chat)),
        prompt_field="messages",
        model=chat.model,
        max_tokens=_answer_length(chat),
        sampling=_sampling(chat),
        stop=chat.stop,
        is_seeded=chat.seed is not None,
        ignores_stops=bool(chat.ignore_eos),
        choices=chat.n or 1,
        constraint=read_format(chat.response_format),
        top_logprobs=_top_logprobs(chat),
        tools=tools,
        tool_choice=choice,
    )
    has_usage = _has_usage(chat)
    return Asked(question, lambda head: ChatWording(head, question, has_usage), bool(chat.stream))


def completion_question(body: bytes) -> Asked:
    """Read the body of `POST /v1/completions`.

    Raises:
        ApiError: it is no JSON, or asks for what cannot be done; status 400, naming the field.
    """
    fields = kept_fields(json_object(body), CompletionBody.model_fields, COMPLETION)
    completion = validated(CompletionBody, fields)
    _check_completion(completion)
    prompts: tuple[Prompt, ...] = completion.prompt
    question = Question(
        dialect="completion",
        prompt=prompts[0],
        prompt_field="prompt",
        model=completion.model,
        max_tokens=completion.max_tokens,
        sampling=_sampling(completion),
        stop=completion.stop,
        is_seeded=completion.seed is not None,
        ignores_stops=bool(completion.ignore_eos),
        other_prompts=prompts[1:],
        choices=completion.n or 1,
        top_logprobs=completion.logprobs,
        is_echoed=bool(completion.echo),
    )
    has_usage = _has_usage(completion)
    return Asked(question, lambda head: CompletionWording(head, question, has_usage), bool(completion.stream))


def _template_options(chat: ChatBody) -> Mapping[str, object]:
    options = dict(chat.chat_template_kwargs or {})
    if chat.reasoning_effort is not None:
        if options.get("reasoning_effort", chat.reasoning_effort) != chat.reasoning_effort:
            text = "reasoning_effort stands in chat_template_kwargs too, and differs: give one of them"
            raise invalid(text, "reasoning_effort")
        options["reasoning_effort"] = chat.reasoning_effort
    return options


def _answer_length(chat: ChatBody) -> int | None:
    newer, older = chat.max_completion_tokens, chat.max_tokens
    if newer is not None and older is not None and newer != older:
        raise invalid(
            f"max_completion_tokens is {describe(newer)}, max_tokens is {describe(older)}: give one of them",
            "max_completion_tokens",
        )
    return newer if newer is not None else older


def _top_logprobs(chat: ChatBody) -> int | None:
    if chat.logprobs:
        return chat.top_logprobs or 0
    if chat.top_logprobs:
        raise invalid("top_logprobs is only allowed when logprobs is true", "top_logprobs")
    return None


def _check_completion(completion: CompletionBody) -> None:
    choices = completion.n or 1
    if completion.best_of is not None and completion.best_of != choices:
        raise invalid(
            f"best_of is {completion.best_of} and n is {choices}: answers are not weighed against each other "
            "by this release; leave it out, or give as many",
            "best_of",
        )
    if completion.echo and completion.logprobs is not None:
        raise invalid(
            "echo is not supported together with logprobs by this release: a prompt's are not computed; "
            "leave one of them out",
            "echo",
        )


def _has_usage(body: QuestionBody) -> bool:
    options = body.stream_options
    if options is not None and not body.stream:
        raise invalid("stream_options is only allowed when stream is true", "stream_options")
    return options is not None and bool(options.include_usage)


def _sampling(body: QuestionBody) -> Sampling:
    """What the client set, over OpenAI's defaults: temperature 1, everything else off."""
    return Sampling(
        temperature=_or(body.temperature, 1.0),
        top_p=_or(body.top_p, 1.0),
        top_k=body.top_k or 0,
        min_p=_or(body.min_p, 0.0),
        repetition_penalty=_or(body.repetition_penalty, 1.0),
        presence_penalty=_or(body.presence_penalty, 0.0),
        frequency_penalty=_or(body.frequency_penalty, 0.0),
        logit_bias=body.logit_bias,
        seed=body.seed or 0,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else float(value)
