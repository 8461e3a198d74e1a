"""What a dialect calls the fields by whose OpenAI names the peer refuses."""

from meshinfer.errors import RequestError

_FORMATS = {
    "messages": "output_config.format",
    "ollama-chat": "format",
    "ollama-generate": "format",
    "responses": "text.format",
}
_THINKING = {"messages": "thinking", "ollama-chat": "think", "ollama-generate": "think"}
_EFFORTS = {"ollama-chat": "think", "ollama-generate": "think", "responses": "reasoning.effort"}


def as_sent(error: RequestError, dialect: str) -> RequestError:
    """The error with the name that the client sent; itself where the client sent that very one.

    dialect: as `Question.dialect`.
    """
    match error.param:
        case "response_format" if field := _FORMATS.get(dialect):
            return RequestError(str(error), field)
        case "enable_thinking" if field := _THINKING.get(dialect):
            return RequestError(_unknown("way to switch thinking on", field), field)
        case "reasoning_effort" if field := _EFFORTS.get(dialect):
            return RequestError(_unknown("efforts of thinking", field), field)
        case _:
            return error


def _unknown(what: str, field: str) -> str:
    return f"this model's chat template knows no {what}: leave {field} out"
