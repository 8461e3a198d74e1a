"""Constraints, compiled for one model's vocabulary with llguidance."""

import json
from collections import OrderedDict
from concurrent.futures import Future
from threading import Lock, Thread
from typing import TYPE_CHECKING

from meshinfer.errors import RequestError
from meshinfer.messages import Constraint, ConstraintKind

from .language import Matcher
from .matching import GrammarMatcher
from .trie import Encode, trie_of
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_MOST_KEPT = 32
"""Constraints that stay compiled; schemas are asked for again and again."""

_WHITESPACE = r"( |\n {0,16})?"
"""Between the tokens of JSON: a space or an indented line. Unbounded, small models write nothing else."""


class Grammars:
    """Makes matchers, and keeps what it compiled for them. Safe from any thread."""

    def __init__(self, vocabulary: Vocabulary, encode: Encode) -> None:
        """Build a vocabulary's trie: for some tenths of a second no other thread runs Python meanwhile.

        So it belongs where a model is loaded. Where the library cannot do it, no constraint can be done, and
        all else of the model can.
        encode: token ids of a text, as the model is used to them; from any thread.
        """
        self._end_token = len(vocabulary.table)
        self._trie: LLTokenizer | None = None
        self._trie_fault = ""
        try:
            self._trie = trie_of(vocabulary, encode)
        except Exception as error:
            self._trie_fault = f"llguidance cannot read the model's vocabulary: {error}"
        self._compiled: OrderedDict[Constraint, Future[LLMatcher]] = OrderedDict()
        self._looking = Lock()

    def fault(self, constraint: Constraint) -> str:
        """Why a constraint cannot be done; empty if it can. Blocks for up to a second."""
        compiled, is_new = self._find(constraint)
        if is_new:
            self._compile(constraint, compiled)
        error = compiled.exception()
        return "" if error is None else str(error)

    def matcher(self, constraint: Constraint) -> Future[Matcher]:
        """Begin to make a matcher for one answer, on a thread of its own where it takes long.

        The future's exception is a RequestError where the constraint cannot be done.
        """
        compiled, is_new = self._find(constraint)
        if is_new:
            Thread(target=self._compile, args=(constraint, compiled), name="meshinfer-grammar").start()
        made: Future[Matcher] = Future()

        def copy(compiled: "Future[LLMatcher]") -> None:
            try:
                made.set_result(GrammarMatcher(compiled.result().deep_copy(), self._end_token))
            except Exception as error:  # it belongs to whoever waits
                made.set_exception(error)

        compiled.add_done_callback(copy)
        return made

    def _find(self, constraint: Constraint) -> "tuple[Future[LLMatcher], bool]":
        """What a constraint is compiled to; True where the caller has to compile it."""
        with self._looking:
            compiled = self._compiled.pop(constraint, None)
            is_new = compiled is None
            if compiled is None:
                compiled = Future()
            self._compiled[constraint] = compiled
            if len(self._compiled) > _MOST_KEPT:
                self._compiled.popitem(last=False)
        return compiled, is_new

    def _compile(self, constraint: Constraint, compiled: "Future[LLMatcher]") -> None:
        try:
            compiled.set_result(self._matcher_of(constraint))
        except RequestError as error:
            compiled.set_exception(error)
        except BaseException as error:  # a panic is no Exception, and nobody must wait for ever
            compiled.set_exception(_refused(constraint, f"{type(error).__name__}: {error}"))

    def _matcher_of(self, constraint: Constraint) -> "LLMatcher":
        from llguidance import LLMatcher, LLParserLimits

        grammar = _grammar_of(constraint)
        if self._trie is None:
            raise _refused(constraint, self._trie_fault)
        # Verbose ones quote the answer.
        limits = LLParserLimits(verbose_errors=False)
        matcher = LLMatcher(self._trie, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            raise _refused(constraint, matcher.get_error().strip())
        return matcher


def _grammar_of(constraint: Constraint) -> str:
    """The constraint in llguidance's own format.

    Raises:
        RequestError: it is no JSON schema.
    """
    from llguidance import LLMatcher

    match constraint.kind:
        case ConstraintKind.REGEX:
            return LLMatcher.grammar_from_regex(constraint.text)
        case ConstraintKind.LARK:
            return LLMatcher.grammar_from_lark(constraint.text)
        case ConstraintKind.JSON:
            schema: object = {"type": "object"}
        case ConstraintKind.SCHEMA:
            try:
                schema = json.loads(constraint.text)
            except (ValueError, RecursionError) as error:
                raise _refused(constraint, str(error)) from error
    if not isinstance(schema, dict):
        raise _refused(constraint, f"a schema is an object, not {type(schema).__name__}")
    try:
        return LLMatcher.grammar_from_json_schema(
            schema, overrides={"whitespace_pattern": _WHITESPACE, "lenient": False}
        )
    except (ValueError, RecursionError) as error:
        raise _refused(constraint, str(error)) from error


def _refused(constraint: Constraint, reason: str) -> RequestError:
    subject = {
        ConstraintKind.JSON: "a JSON object",
        ConstraintKind.SCHEMA: "this JSON schema",
        ConstraintKind.REGEX: "this regular expression",
        ConstraintKind.LARK: "this grammar",
    }[constraint.kind]
    return RequestError(f"answers cannot be held to {subject}: {reason}", "response_format")
