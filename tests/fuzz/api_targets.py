"""Bodies of the HTTP API's requests, in all its dialects: to a question, or an error for the client."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from meshinfer.api.answering import Asked
from meshinfer.api.anthropic_translate import count_question, messages_question
from meshinfer.api.errors import ApiError
from meshinfer.api.headers import TIMEOUT, read_timeout
from meshinfer.api.idempotency import HEADER, claim, read_key
from meshinfer.api.ollama_translate import generate_question, ollama_chat_question, shown_model
from meshinfer.api.plan_routes import read_plan
from meshinfer.api.responses_translate import response_question
from meshinfer.api.tokenize_translate import to_detokenize, to_tokenize
from meshinfer.api.translate import chat_question, completion_question
from meshinfer.config import RequestLimits
from meshinfer.errors import ConfigError

from .target import JSON, Target

_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_FUNCTION = {"name": "weather", "description": "of a city", "parameters": _PARAMETERS, "strict": True}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": _PARAMETERS, "strict": True}}
_USUAL = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["a", "b"], "stream": True, "max_tokens": 9}
_CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
_TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Rain?"}]},
    {"role": "assistant", "content": None, "tool_calls": [_CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "no"},
]

_CHAT: dict[str, Any] = {
    **_USUAL,
    "model": "tiny",
    "messages": _TALK,
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "logit_bias": {"7": -100},
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "stream_options": {"include_usage": True},
    "tools": [{"type": "function", "function": _FUNCTION}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": False,
    "response_format": _SCHEMA,
    "reasoning_effort": "low",
    "max_completion_tokens": 9,
    "user": "me",
}
_COMPLETION: dict[str, Any] = {
    **_USUAL,
    "model": "tiny",
    "prompt": ["a", [1, 2]],
    "echo": True,
    "logprobs": 3,
}
_RESPONSE: dict[str, Any] = {
    "model": "tiny",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Rain?"}]},
        {"type": "function_call", "call_id": "1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "no"},
    ],
    "tools": [{"type": "function", **_FUNCTION}],
    "tool_choice": "auto",
    "text": {"format": {"type": "json_schema", "name": "a", "schema": _PARAMETERS, "strict": True}},
    "reasoning": {"effort": "low"},
    "max_output_tokens": 9,
    "temperature": 0.5,
    "metadata": {"a": "b"},
    "store": False,
    "stream": True,
}
_MESSAGES: dict[str, Any] = {
    "model": "tiny",
    "max_tokens": 2000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "Rain?"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "1", "name": "weather", "input": {"city": "Bern"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "no"}]},
    ],
    "tools": [{"name": "weather", "description": "of a city", "input_schema": _PARAMETERS}],
    "tool_choice": {"type": "tool", "name": "weather"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["a"],
    "top_k": 3,
}
_COUNTED = {name: _MESSAGES[name] for name in ("model", "system", "messages", "tools", "tool_choice")}
_OPTIONS = {"temperature": 0.5, "num_predict": 9, "seed": 7, "stop": ["a"], "top_k": 3, "repeat_penalty": 1.1}
_OLLAMA_CHAT: dict[str, Any] = {
    "model": "tiny:latest",
    "messages": [
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "a"}}}]},
        {"role": "tool", "tool_name": "weather", "content": "no"},
    ],
    "tools": [{"type": "function", "function": _FUNCTION}],
    "options": _OPTIONS,
    "format": _PARAMETERS,
    "think": True,
    "keep_alive": "5m",
}
_GENERATE: dict[str, Any] = {
    "model": "tiny",
    "prompt": "Rain?",
    "system": "Be brief.",
    "options": _OPTIONS,
    "format": "json",
    "raw": False,
}
_PLAN = {"model": "qwen3-8b", "context_tokens": 4096, "readers": 2, "stages": "3", "quant": "4"}


def _seeds(*bodies: dict[str, Any]) -> Callable[[], Iterator[bytes]]:
    """Each body, and each of its fields alone with what must be there."""

    def made() -> Iterator[bytes]:
        for body in bodies:
            yield json.dumps(body).encode()
            needed = {name: body[name] for name in ("model", "messages", "prompt", "input") if name in body}
            for name, value in body.items():
                yield json.dumps({**needed, "max_tokens": 9, name: value}).encode()

    return made


def _asked(read: Callable[[bytes], Asked | object]) -> Callable[[bytes], object]:
    """Read a body; where it is a question, put it under a key too."""

    def run(data: bytes) -> object:
        asked = read(data)
        return claim("key", asked.question) if isinstance(asked, Asked) else asked

    return run


def _headers(data: bytes) -> None:
    text = data.decode("latin-1")
    read_key({HEADER: text})
    read_timeout({TIMEOUT: text})


def _target(name: str, read: Callable[[bytes], object], *bodies: dict[str, Any]) -> Target:
    # A ConfigError becomes an ApiError in `from_mesh`.
    return Target(f"api.{name}", _asked(read), (ApiError, ConfigError), _seeds(*bodies), JSON)


API_TARGETS = (
    _target("chat", chat_question, _CHAT),
    _target("completions", completion_question, _COMPLETION),
    _target("responses", response_question, _RESPONSE),
    _target("messages", messages_question, _MESSAGES),
    _target("count_tokens", count_question, _COUNTED),
    _target("ollama_chat", ollama_chat_question, _OLLAMA_CHAT),
    _target("ollama_generate", generate_question, _GENERATE),
    _target("ollama_show", shown_model, {"model": "tiny", "verbose": False}),
    _target("tokenize", to_tokenize, {"model": "tiny", "messages": _TALK}, {"prompt": "a"}),
    _target("detokenize", to_detokenize, {"model": "tiny", "tokens": [1, 2]}),
    _target("plan", lambda data: read_plan(data, RequestLimits()), _PLAN),
    Target("api.headers", _headers, (ApiError,), lambda: (b"a key", b"12.5", b"0.000001")),
)
