"""What a client asks of the mesh, whatever API it speaks, once its JSON is understood."""

from dataclasses import dataclass, field, replace

from meshinfer.generation import Prompt
from meshinfer.messages import Constraint, Sampling

from .tools import Tool, ToolChoice


@dataclass(frozen=True, slots=True)
class Question:
    """A request for an answer.

    dialect: which API asked, such as `chat`; the same question asked through another is another one.
    prompt_field: what the prompt is called there, for errors. other_prompts: asked at once with it; the
    choices of `prompt` come first. model: None takes what the mesh runs. max_tokens: None takes the peer's
    default. is_seeded: whether the client gave the seed in `sampling`, or one must be drawn. ignores_stops:
    whether the model's own stop tokens end nothing.
    choices: how many answers each prompt gets. constraint: what an answer must look like, its reasoning left
    out, where it calls no tool. top_logprobs: with how many alternatives the log-probability of each token
    is told; None is not at all. is_echoed: each choice begins with its prompt.
    tools: what the model may call; a chat alone can have any.
    """

    dialect: str
    prompt: Prompt
    prompt_field: str = "messages"
    model: str | None = None
    max_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    is_seeded: bool = False
    ignores_stops: bool = False
    other_prompts: tuple[Prompt, ...] = ()
    choices: int = 1
    constraint: Constraint | None = None
    top_logprobs: int | None = None
    is_echoed: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)

    def seeded(self, drawn: int) -> "Question":
        """This question with a seed: the client's own, or else `drawn`."""
        if self.is_seeded:
            return self
        return replace(self, sampling=replace(self.sampling, seed=drawn), is_seeded=True)
