"""From the bytes of a request to Ollama's API to a question."""

import json
from dataclasses import dataclass

from meshinfer.generation import Conversation, Prompt
from meshinfer.messages import Constraint, ConstraintKind, Sampling

from .answering import Asked
from .errors import invalid
from .ollama_refusals import kept_body
from .ollama_request import (
    GenerateBody,
    OllamaChatBody,
    OllamaMessage,
    OllamaTool,
    OllamaToolCall,
    Options,
    ShowBody,
)
from .ollama_wording import OllamaChatWording, OllamaTextWording
from .question import Question
from .reading import json_object, validated
from .schemas import arguments_schema, schema_constraint, unique_tools
from .tools import Tool
from .values import MAX_TOKEN_ID
from .wording import Json

_LATEST = ":latest"
"""The tag that clients put behind a model's name where it has none."""


@dataclass(frozen=True, slots=True)
class IsLoaded:
    """Asks for nothing but whether a model is loaded."""

    model: str
    is_chat: bool


def ollama_chat_question(body: bytes) -> Asked | IsLoaded:
    """Read the body of `POST /api/chat`.

    Raises:
        ApiError: it is no JSON, or asks for what cannot be done; status 400, naming the field.
    """
    asked = validated(OllamaChatBody, kept_body(json_object(body), OllamaChatBody))
    if not asked.messages:
        return IsLoaded(bare_name(asked.model), is_chat=True)
    messages = tuple(_message(number, message) for number, message in enumerate(asked.messages))
    tools = unique_tools(_tool(tool, f"tools[{n}].function") for n, tool in enumerate(asked.tools or ()))
    prompt = _conversation(asked, messages)
    return Asked(_question(asked, prompt, tools), OllamaChatWording, asked.stream is not False)


def generate_question(body: bytes) -> Asked | IsLoaded:
    """Read the body of `POST /api/generate`.

    Raises:
        ApiError: it is no JSON, or asks for what cannot be done; status 400, naming the field.
    """
    asked = validated(GenerateBody, kept_body(json_object(body), GenerateBody))
    if not asked.prompt:
        return IsLoaded(bare_name(asked.model), is_chat=False)
    prompt = _raw(asked, asked.prompt) if asked.raw else _asked_once(asked, asked.prompt)
    return Asked(_question(asked, prompt), OllamaTextWording, asked.stream is not False)


def shown_model(body: bytes) -> str:
    """Read the body of `POST /api/show`: of which model.

    Raises:
        ApiError: it is no JSON, or names none; status 400.
    """
    asked = validated(ShowBody, kept_body(json_object(body), ShowBody))
    name = asked.model or asked.name
    if not name:
        raise invalid("model is missing", "model", "missing_required_parameter")
    return bare_name(name)


def bare_name(name: str) -> str:
    """A model's name without the tag that says nothing."""
    return name.removesuffix(_LATEST) or name


def tagged_name(name: str) -> str:
    """A model's name as clients of Ollama expect it: with a tag."""
    return name if ":" in name else name + _LATEST


def _question(asked: OllamaChatBody | GenerateBody, prompt: Prompt, tools: tuple[Tool, ...] = ()) -> Question:
    options = asked.options or Options()
    is_chat = isinstance(asked, OllamaChatBody)
    return Question(
        dialect="ollama-chat" if is_chat else "ollama-generate",
        prompt=prompt,
        prompt_field="messages" if is_chat else "prompt",
        model=bare_name(asked.model),
        max_tokens=_answer_length(options.num_predict),
        sampling=_sampling(options),
        stop=options.stop,
        is_seeded=options.seed is not None,
        constraint=_constraint(asked),
        tools=tools,
    )


def _raw(asked: GenerateBody, prompt: str) -> str:
    for name, value in (("system", asked.system), ("think", asked.think)):
        if value:
            raise invalid(
                f"{name} is for the chat template, which raw leaves out: leave out one of them", name
            )
    return prompt


def _asked_once(asked: GenerateBody, prompt: str) -> Conversation:
    system = [{"role": "system", "content": asked.system}] if asked.system else []
    return _conversation(asked, (*system, {"role": "user", "content": prompt}))


def _answer_length(num_predict: int | None) -> int | None:
    if num_predict == 0:
        raise invalid("options.num_predict is 0: an answer takes at least 1 token", "options.num_predict")
    if num_predict is None:
        return None
    # Cut to the room that the model's context has.
    return num_predict if num_predict > 0 else MAX_TOKEN_ID


def _sampling(options: Options) -> Sampling:
    """What the client set, over Ollama's defaults."""
    window = 64 if options.repeat_last_n is None else options.repeat_last_n
    penalty = _or(options.repeat_penalty, 1.1) if window else 1.0
    return Sampling(
        temperature=_or(options.temperature, 0.8),
        top_p=_or(options.top_p, 0.9),
        top_k=40 if options.top_k is None else options.top_k,
        min_p=_or(options.min_p, 0.0),
        repetition_penalty=penalty,
        presence_penalty=_or(options.presence_penalty, 0.0),
        frequency_penalty=_or(options.frequency_penalty, 0.0),
        penalty_window=window if window >= 0 else MAX_TOKEN_ID,
        seed=options.seed or 0,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else float(value)


def _conversation(asked: OllamaChatBody | GenerateBody, messages: tuple[Json, ...]) -> Conversation:
    """A chat, with what its template is told of thinking: not to think needs no knowledge of it."""
    match asked.think:
        case None:
            return Conversation(messages)
        case False:
            return Conversation(messages, hints={"enable_thinking": False})
        case True:
            return Conversation(messages, options={"enable_thinking": True})
        case effort:
            return Conversation(messages, options={"reasoning_effort": effort})


def _constraint(asked: OllamaChatBody | GenerateBody) -> Constraint | None:
    match asked.format:
        case dict() as schema:
            return schema_constraint(schema, "format")
        case "json":
            return Constraint(ConstraintKind.JSON)
        case _:
            return None


def _message(number: int, message: OllamaMessage) -> Json:
    calls = [_call(f"call_{number}_{place}", call) for place, call in enumerate(message.tool_calls or ())]
    given = {
        "role": message.role,
        "content": message.content or "",
        "reasoning_content": message.thinking,
        "tool_calls": calls or None,
        "name": message.tool_name,
        "tool_call_id": message.tool_call_id,
    }
    return {name: value for name, value in given.items() if value is not None}


def _call(usual: str, call: OllamaToolCall) -> Json:
    """A call as chat templates take it. usual: its id, where it came without one."""
    arguments = json.dumps(call.function.arguments, ensure_ascii=False)
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id or usual, "type": "function", "function": function}


def _tool(tool: OllamaTool, place: str) -> Tool:
    schema = arguments_schema(tool.function.parameters or {}, f"{place}.parameters")
    return Tool(tool.function.name, tool.function.description or "", schema, bool(tool.function.strict))
