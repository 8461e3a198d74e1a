"""How a question is put to its model: the model's own forms of calls and thinking, and what they ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from meshinfer.actors.mail import LocalModel
from meshinfer.errors import RequestError
from meshinfer.generation import Conversation, Prompt, encode
from meshinfer.messages import Constraint
from meshinfer.model.language import Tokenizer

from .call_format import CallFormat, CallShape, call_format, read_mark, template_tool
from .field_names import as_sent
from .forcing import MOST_CALLS, Calls, Thinking, constraint_of
from .hermes import as_plain_chat
from .question import Question
from .tools import Tool, ToolMode

_TAIL_TOKENS = 32
"""At the end of a prompt, where a template may have begun the thinking."""


@dataclass(frozen=True, slots=True)
class Approach:
    """What a peer is asked for, and how its text is to be read.

    prompts: token ids of each. echoes: their texts, where answers begin with them. thinking: None if the
    model does not think aloud. calls: how calls are written; None if none are looked for. names: of the tools
    that may be called. keeps_special: whether special tokens are among the marks.
    """

    prompts: tuple[tuple[int, ...], ...]
    echoes: tuple[str, ...]
    constraint: Constraint | None
    thinking: Thinking | None
    calls: CallFormat | None
    names: frozenset[str]
    is_parallel: bool
    keeps_special: bool


def approach_to(question: Question, model: LocalModel) -> Approach:
    """Put a question to a model. Blocking: a long prompt takes a while.

    Raises:
        RequestError: it asks for what this model cannot do; with the name of the field as the client sent it.
    """
    try:
        return _approach(question, model)
    except RequestError as error:
        raise as_sent(error, question.dialect) from error


def _approach(question: Question, model: LocalModel) -> Approach:
    prompts: Sequence[Prompt] = (question.prompt, *question.other_prompts)
    if not isinstance(question.prompt, Conversation):
        return _bare(question, model, prompts)
    tokenizer, tools = model.tokenizer, _usable(question)
    form = call_format(tokenizer, question.tools)
    conversation = _conversation(question.prompt, tokenizer, form, question.tools if tools else ())
    tokens = encode(model, conversation)
    thinking = _thinking(tokenizer, tokens)
    calls = _calls(question, tokenizer, form, tools) if tools else None
    constraint = constraint_of(thinking, calls, question.constraint)
    if constraint is not None and question.ignores_stops:
        raise RequestError("an answer that is held to a form ends where it is whole", "ignore_eos")
    marks = [thinking.start, thinking.end] if thinking else []
    if tools:
        marks += [read_mark(tokenizer, form.start), read_mark(tokenizer, form.end)]
    return Approach(
        prompts=(tokens,),
        echoes=("",),
        constraint=constraint,
        thinking=thinking,
        calls=form if tools else None,
        names=frozenset(tool.name for tool in tools),
        is_parallel=_is_parallel(question),
        keeps_special=any(mark.has_special for mark in marks),
    )


def _bare(question: Question, model: LocalModel, prompts: Sequence[Prompt]) -> Approach:
    """Texts and tokens go to the model as they are, and its text comes back as it is."""
    tokens = tuple(encode(model, prompt) for prompt in prompts)
    return Approach(
        prompts=tokens,
        echoes=tuple(
            _echo(model.tokenizer, prompt, ids) if question.is_echoed else ""
            for prompt, ids in zip(prompts, tokens, strict=True)
        ),
        constraint=question.constraint,
        thinking=None,
        calls=None,
        names=frozenset(),
        is_parallel=True,
        keeps_special=False,
    )


def _echo(tokenizer: Tokenizer, prompt: Prompt, tokens: tuple[int, ...]) -> str:
    return prompt if isinstance(prompt, str) else tokenizer.decode(tokens)


def _usable(question: Question) -> tuple[Tool, ...]:
    """The tools that may be called."""
    choice = question.tool_choice
    match choice.mode:
        case ToolMode.NONE:
            return ()
        case ToolMode.NAMED:
            return tuple(tool for tool in question.tools if tool.name == choice.name)
        case ToolMode.AUTO | ToolMode.REQUIRED:
            return question.tools


def _is_parallel(question: Question) -> bool:
    return question.tool_choice.is_parallel and question.tool_choice.mode is not ToolMode.NAMED


def _conversation(
    conversation: Conversation, tokenizer: Tokenizer, form: CallFormat, tools: Sequence[Tool]
) -> Conversation:
    """What the chat template gets: tools as it knows them, options as it calls them."""
    conversation = replace(
        conversation,
        tools=tuple(template_tool(tool) for tool in tools),
        options=_options(conversation.options, tokenizer),
    )
    is_plain = not tools and not any(map(_has_calls, conversation.messages))
    return conversation if form.is_native or is_plain else as_plain_chat(conversation)


def _has_calls(message: Mapping[str, object]) -> bool:
    return message.get("role") == "tool" or "tool_calls" in message


def _options(options: Mapping[str, object], tokenizer: Tokenizer) -> Mapping[str, object]:
    """No effort at all is what some templates call not to think; of other efforts these know nothing."""
    is_switch = tokenizer.knows("enable_thinking") and not tokenizer.knows("reasoning_effort")
    if options.get("reasoning_effort") != "none" or not is_switch:
        return options
    others = {name: value for name, value in options.items() if name != "reasoning_effort"}
    return {"enable_thinking": False, **others}


def _thinking(tokenizer: Tokenizer, prompt: tuple[int, ...]) -> Thinking | None:
    markers = tokenizer.markers
    if not markers.think_end:
        return None
    detokenizer = tokenizer.detokenizer(keeps_special=True)
    tail = "".join(map(detokenizer.add, prompt[-_TAIL_TOKENS:])) + detokenizer.finish()
    start, end = (read_mark(tokenizer, text) for text in (markers.think_start, markers.think_end))
    return Thinking(start, end, is_open=tail.rstrip().endswith(markers.think_start))


def _calls(
    question: Question, tokenizer: Tokenizer, form: CallFormat, tools: tuple[Tool, ...]
) -> Calls | None:
    """What the answer's calls are held to; None where the model is free to make them as it likes.

    Raises:
        RequestError: they would have to be forced, and cannot be.
    """
    mode = question.tool_choice.mode
    are_required = mode in (ToolMode.REQUIRED, ToolMode.NAMED)
    if form.shape is CallShape.OTHER:
        _check_is_free(question, are_required=are_required)
        return None
    if not (are_required or question.constraint or any(tool.is_strict for tool in tools)):
        return None
    return Calls(
        read_mark(tokenizer, form.start),
        read_mark(tokenizer, form.end),
        form.shape,
        tools,
        are_required=are_required,
        most=MOST_CALLS if _is_parallel(question) else 1,
    )


def _check_is_free(question: Question, *, are_required: bool) -> None:
    why = "this model writes its calls in a form that is no JSON, which cannot be forced"
    if are_required:
        raise RequestError(f"a tool choice other than auto and none cannot be kept: {why}", "tool_choice")
    if question.constraint is not None:
        raise RequestError(f"an answer cannot be held to a format beside tools: {why}", "response_format")
