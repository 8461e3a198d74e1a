"""What a client asks of the mesh, once its JSON is understood."""

from dataclasses import dataclass, field, replace
from enum import Enum

from meshinfer.generation import Prompt
from meshinfer.messages import Sampling


class Endpoint(Enum):
    """How the question was put, and so how the answer is worded. The values name the prompt's field."""

    CHAT = "messages"
    COMPLETION = "prompt"


@dataclass(frozen=True, slots=True)
class Question:
    """A request for an answer.

    model: None takes what the mesh runs. max_tokens: None takes the peer's default.
    is_seeded: whether the client gave the seed in `sampling`, or one must be drawn.
    ignores_stops: whether the model's own stop tokens end nothing.
    is_streamed: whether pieces are sent as they come. has_usage: whether a stream ends with token counts.
    """

    endpoint: Endpoint
    prompt: Prompt
    model: str | None = None
    max_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    is_seeded: bool = False
    ignores_stops: bool = False
    is_streamed: bool = False
    has_usage: bool = False

    def seeded(self, drawn: int) -> "Question":
        """This question with a seed: the client's own, or else `drawn`."""
        if self.is_seeded:
            return self
        return replace(self, sampling=replace(self.sampling, seed=drawn), is_seeded=True)
