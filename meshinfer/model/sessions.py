"""The sessions of a shard: how they begin, go on and end, and which steps fit them."""

from concurrent.futures import Future

import mlx.core as mx

from meshinfer.errors import StageFailed
from meshinfer.messages import Opening, Row, SessionId

from .base import Step
from .cache import Caches
from .groups import Groups
from .kept import HandedOn
from .language import Matcher, Tokenizer
from .prefixes import Beginning, Prefixes
from .refill import Refill
from .session import Session
from .sliced import SlicedModel


class Sessions:
    """Those that are open, their caches in `groups`, and those that are over and wait as prefixes."""

    def __init__(self, model: SlicedModel, tokenizer: Tokenizer | None = None) -> None:
        """Take in none yet. tokenizer: the model's, for the tail of answers that are constrained."""
        self.groups = Groups()
        self._model = model
        self._tokenizer = tokenizer
        self._open: dict[SessionId, Session] = {}
        self._prefixes = Prefixes()
        self._handed_on_bytes = 0

    def of(self, step: Step) -> list[Session]:
        """The sessions of a step's rows; opened now where it is the first step.

        Raises:
            StageFailed: the step does not fit them.
        """
        rows = step.rows
        if len(rows) != 1 and not _are_a_lane(rows):
            counts = [(row.session, len(row.tokens)) for row in rows]
            raise StageFailed(
                f"a step with tokens of sessions {counts}: some of one, or one of each of several is expected"
            )
        sessions = [self._of(row) for row in rows]
        if self._model.is_head and step.tensors:
            raise StageFailed(f"session {rows[0].session}: {len(step.tensors)} tensors came to the head")
        return sessions

    def check_tokens(self, session: SessionId, position: int, tokens: tuple[int, ...]) -> None:
        """Refuse ids that would read memory outside the embedding table."""
        if not tokens:
            raise StageFailed(f"session {session}: a step without tokens at position {position}")
        if min(tokens) < 0 or max(tokens) >= self._model.vocab_size:
            raise StageFailed(
                f"session {session}: token ids from {min(tokens)} to {max(tokens)}, "
                f"the vocabulary has {self._model.vocab_size}"
            )

    def __contains__(self, session: SessionId) -> bool:
        """Whether a session is open."""
        return session in self._open

    def begin_anew(self, session: SessionId, resumed: Session) -> None:
        """Take in a session that is resumed."""
        resumed.matcher = self._matcher(session, resumed.opening)
        self._open[session] = resumed
        self.open_if_whole(session)
        self.note_handed_on()

    def on_its_way(self, session: SessionId) -> tuple[Session, Refill]:
        """A session that is being resumed.

        Raises:
            StageFailed: it is not.
        """
        held = self._open.get(session)
        if held is None or held.refill is None:
            raise StageFailed(f"session {session}: it is not on its way back here")
        return held, held.refill

    def open_if_whole(self, session: SessionId) -> None:
        """Give a session that is resumed its caches, once none is missing."""
        refill = self._open[session].refill
        if refill is not None and not refill.missing:
            self.groups.open(session, self._model.make_caches(refill.given, refill.length))

    def take_out(self, session: SessionId) -> tuple[Session, Caches] | None:
        """Close a session; return it with its caches, or None if nothing of it can be used again."""
        held = self._open.pop(session, None)
        caches = None
        if held is not None and held.refill is None and held.length > 0:
            caches = self.groups.take_out(session)
        self.groups.leave(session)
        self.note_handed_on()
        return (held, caches) if held is not None and caches is not None else None

    def retain(self, session: SessionId) -> None:
        """Close a session, and keep what a later one may begin with."""
        left = self.take_out(session)
        if left is not None:
            held, caches = left
            given = self._model.given_by(caches)
            self._prefixes.retain(session, Beginning(held.length, given, held.history, held.marks))
            mx.clear_cache()

    def drop(self, session: SessionId) -> None:
        """Forget an open session, and give its memory back; unknown ones are fine."""
        if self._open.pop(session, None) is not None:
            self.groups.leave(session)
            self.note_handed_on()
            mx.clear_cache()

    def drop_retained(self, session: SessionId) -> None:
        """Forget a session that is over, and give its memory back; unknown ones are fine."""
        if self._prefixes.drop(session):
            mx.clear_cache()

    def clear(self) -> None:
        """Forget all."""
        self._open.clear()
        self.groups.clear()
        self._prefixes.clear()
        self.note_handed_on()

    @property
    def handed_on_bytes(self) -> int:
        """Memory of the hidden states that are kept as they went to the next stage. Read from any thread."""
        return self._handed_on_bytes

    def note_handed_on(self) -> None:
        """Count it anew: other threads must not look into what this one changes."""
        alone = sum(each.handed_on.size_bytes for each in self._open.values() if each.handed_on)
        in_lanes = sum(group.handed_on.size_bytes for group in self.groups if group.handed_on)
        self._handed_on_bytes = alone + in_lanes

    def forget_handed_on(self) -> None:
        """Keep no more of it."""
        for session in self._open.values():
            session.handed_on = None
        for group in self.groups:
            group.handed_on = None
        self.note_handed_on()

    def _of(self, row: Row) -> Session:
        session = self._open.get(row.session)
        if session is not None and session.refill is not None:
            if session.refill.missing:
                raise StageFailed(f"session {row.session}: it is not whole again yet")
            session.refill = None
        prefix = row.opening.prefix if row.opening is not None and session is None else None
        length = session.length if session is not None else prefix.length if prefix is not None else 0
        if row.position != length:
            raise StageFailed(
                f"session {row.session}: a step at position {row.position}, the KV cache ends at {length}"
            )
        if (row.opening is None) != (session is not None):
            found = "with" if row.opening is not None else "without"
            raise StageFailed(f"session {row.session}: a step {found} an opening at position {row.position}")
        self.check_tokens(row.session, row.position, row.tokens)
        return session if row.opening is None and session is not None else self._begin(row)

    def _begin(self, row: Row) -> Session:
        """Open the session of a first step."""
        opening = row.opening
        assert opening is not None
        begun = self._prefixes.begin(row.session, opening.prefix) if opening.prefix else Beginning()
        # What left for the first tokens is not here where another session computed them.
        handed_on = None if self._model.is_tail or opening.prefix else HandedOn()
        matcher = self._matcher(row.session, opening)
        session = Session(opening, begun.length, begun.history, handed_on, marks=begun.marks, matcher=matcher)
        self._open[row.session] = session
        self.groups.open(row.session, self._model.make_caches(begun.given, begun.length))
        return session

    def _matcher(self, session: SessionId, opening: Opening) -> Future[Matcher] | None:
        """What constrains a session's answer, at the tail; it is made while the prompt is computed."""
        if not self._model.is_tail or opening.constraint is None:
            return None
        if self._tokenizer is None:
            raise StageFailed(f"session {session}: this stage has no tokenizer to constrain its answer with")
        return self._tokenizer.matcher(opening.constraint)


def _are_a_lane(rows: tuple[Row, ...]) -> bool:
    """Whether rows are of several sessions, with a single token each."""
    names = {row.session for row in rows}
    return len(rows) == len(names) > 1 and all(len(row.tokens) == 1 for row in rows)
