"""A model's chat template: from messages and tools to token ids."""

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from meshinfer.errors import RequestError

_BLOCKS = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)

_GENERATION = re.compile(r"\{%[-+]?\s*(?:end)?generation\s*[-+]?%\}")
_WORD = re.compile(r"\w+")

_OWN = {
    "add_generation_prompt",
    "chat_template",
    "continue_final_message",
    "conversation",
    "documents",
    "max_length",
    "messages",
    "padding",
    "return_assistant_tokens_mask",
    "return_dict",
    "return_tensors",
    "tokenize",
    "tokenizer_kwargs",
    "tools",
    "truncation",
}
"""What apply_chat_template takes itself: such an option would not reach the template."""


class ChatTemplate:
    """Works on mlx-lm's TokenizerWrapper, which finds templates written in Jinja and in Python."""

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._names = _names_of(wrapper)

    def knows(self, option: str) -> bool:
        """Whether the template looks at an option, such as `enable_thinking` or `tools`."""
        return option in self._names

    def encode(
        self,
        messages: Sequence[Mapping[str, object]],
        tools: Sequence[Mapping[str, object]],
        options: Mapping[str, object],
    ) -> tuple[int, ...]:
        """Token ids of a chat, ready for the assistant's turn.

        Raises:
            RequestError: there is no template, it refuses these messages, or does not know the tools or an
                option.
        """
        from jinja2 import TemplateError

        if not self._wrapper.has_chat_template:
            raise RequestError("this model has no chat template: use /v1/completions", "messages")
        self._check(tools, options)
        try:
            return self._apply(messages, tools, options)
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            # A template is a program: it refuses some messages itself and trips over others.
            raise RequestError(
                f"the model's chat template refuses these messages: {error}", "messages"
            ) from error

    def _check(self, tools: Sequence[Mapping[str, object]], options: Mapping[str, object]) -> None:
        if tools and not self.knows("tools"):
            raise RequestError("this model's chat template knows no tools", "tools")
        for option in options:
            if option in _OWN or not self.knows(option):
                raise RequestError(
                    f"this model's chat template knows no option {option!r}: leave it out", option
                )

    def _apply(
        self,
        messages: Sequence[Mapping[str, object]],
        tools: Sequence[Mapping[str, object]],
        options: Mapping[str, object],
    ) -> tuple[int, ...]:
        settings = {**options, "tools": list(tools)} if tools else options

        def tokens(messages: Sequence[Mapping[str, object]]) -> tuple[int, ...]:
            return tuple(
                self._wrapper.apply_chat_template(list(messages), add_generation_prompt=True, **settings)
            )

        spread = [_with_arguments_spread(message) for message in messages]
        try:
            return tokens(spread)
        except TypeError:
            # Some templates want arguments as OpenAI's API has them: as text.
            if spread == list(messages):
                raise
            return tokens(messages)


def _names_of(wrapper: Any) -> frozenset[str]:
    """The names that a template looks up from outside; of one in Python, all words of its code."""
    in_python = getattr(wrapper, "_chat_template", None)
    if in_python is not None:
        return _words(inspect.getsource(inspect.getmodule(in_python) or in_python))
    written = getattr(wrapper, "chat_template", None) or ""
    # Some models have several, by name.
    texts = written.values() if isinstance(written, dict) else [written]
    return frozenset[str]().union(*map(_variables, texts))


def _variables(template: str) -> frozenset[str]:
    """What a Jinja template takes from outside; all words of its blocks where Jinja cannot read it."""
    from jinja2 import Environment, TemplateError, meta

    # As transformers reads them; a generation's bounds are for training alone.
    environment = Environment(extensions=["jinja2.ext.loopcontrols"])
    try:
        return frozenset(meta.find_undeclared_variables(environment.parse(_GENERATION.sub("", template))))
    except (TemplateError, RecursionError):
        return _words("\n".join(_BLOCKS.findall(template)))


def _words(code: str) -> frozenset[str]:
    return frozenset(_WORD.findall(code))


def _with_arguments_spread(message: Mapping[str, object]) -> Mapping[str, object]:
    """A message whose tool calls have their arguments as objects, which most templates go through."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list | tuple):
        return message
    return {**message, "tool_calls": [_spread(call) for call in calls]}


def _spread(call: Any) -> Any:
    function = call.get("function") if isinstance(call, Mapping) else None
    arguments = function.get("arguments") if isinstance(function, Mapping) else None
    if function is None or not isinstance(arguments, str):
        return call
    try:
        read = json.loads(arguments) if arguments else {}
    except (ValueError, RecursionError):
        return call
    return {**call, "function": {**function, "arguments": read}}
