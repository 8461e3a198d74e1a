"""One answer of each kind, in parts, for all that word them."""

from meshinfer.api.delta import CallArguments, CallBegun, Delta, End, Ended, Reasoning, Text, Usage
from meshinfer.api.wording import AnswerHead

HEAD = AnswerHead(token="abc", created=1_800_000_000, model="tiny", fingerprint="fp_1")

USAGE = Usage(
    prompt_tokens=10, answer_tokens=7, cached_tokens=4, reasoning_tokens=2, prompt_s=0.25, answer_s=1.5
)

STOPPED = Ended(0, End.STOP, USAGE)
CUT = Ended(0, End.LENGTH, USAGE)
CALLED = Ended(0, End.TOOL_CALLS, USAGE)

TEXT: list[Delta] = [Text(0, ""), Text(0, "Hel"), Text(0, "lo"), STOPPED]

THOUGHT: list[Delta] = [Reasoning(0, "Hm"), Reasoning(0, "."), Text(0, "Yes"), CUT]

CALLS: list[Delta] = [
    Text(0, "I look."),
    CallBegun(0, 0, "call1", "weather"),
    CallArguments(0, 0, '{"city": '),
    CallArguments(0, 0, '"Rome"}'),
    CallBegun(0, 1, "call2", "clock"),
    CallArguments(0, 1, "{}"),
    CALLED,
]
