"""A chat at a terminal: messages in, answers out as they are written, and commands in between."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from .answering import TalkSettings, ask
from .client import ClientError, PeerClient
from .conversation import Conversation, UnreadableChat, load, save
from .terminal import Terminal, Tone

HELP = "Ctrl-C stops an answer, Ctrl-D leaves, /help tells the rest"

COMMANDS = {
    "/model": "/model [NAME]   tell the models, or talk to this one",
    "/system": "/system [TEXT]  tell what the model is told first, or change it; /system - leaves it away",
    "/save": "/save FILE      keep this chat: as JSON in a .json file, as Markdown in others",
    "/load": "/load FILE      go on with a chat that was kept",
    "/retry": "/retry          ask the last question again",
    "/clear": "/clear          begin a new chat",
    "/help": "/help           tell all this",
    "/quit": "/quit           leave",
}

_KEYS = (
    "Alt-Enter, or a backslash at the end of a line, begins another line; what is pasted stays one message",
    "Ctrl-C stops an answer; at an empty prompt, twice, it leaves, and so does Ctrl-D",
)


def talk(
    client: PeerClient,
    terminal: Terminal,
    settings: TalkSettings,
    lines: Iterable[str],
    confirm: Callable[[str], bool] = lambda question: False,
) -> None:
    """Answer message after message until there are no more, or one says /quit.

    confirm: asks a person whether something may be done.
    """
    chat = _Chat(client, terminal, settings, confirm)
    for line in lines:
        if not chat.take(line.strip()):
            return


class _Chat:
    """One chat: what was said, how answers are asked for, and what commands do to both."""

    def __init__(
        self,
        client: PeerClient,
        terminal: Terminal,
        settings: TalkSettings,
        confirm: Callable[[str], bool],
    ) -> None:
        self._client = client
        self._terminal = terminal
        self._settings = settings
        self._confirm = confirm
        self._conversation = Conversation(settings.system)

    def take(self, line: str) -> bool:
        """Do what a message says, or have it answered; return whether the chat goes on."""
        command, _, rest = line.partition(" ")
        rest = rest.strip()
        if not line:
            return True
        if "\n" in line or not command.startswith("/"):
            self._ask(line)
            return True
        match command:
            case "/quit" | "/exit" | "/bye":
                return False
            case "/clear" | "/new":
                self._conversation = Conversation(self._conversation.system)
                self._say("a new chat")
            case "/help" | "/?":
                for text in (*COMMANDS.values(), *_KEYS):
                    self._say(text)
            case "/model":
                self._model(rest)
            case "/system":
                self._system(rest)
            case "/retry":
                self._retry()
            case "/save" | "/load" if not rest:
                self._say(f"say which file: {command} FILE")
            case "/save":
                self._save(Path(rest).expanduser())
            case "/load":
                self._load(Path(rest).expanduser())
            case _ if not rest:
                self._say(f"{command} is no command here: {HELP}")
            case _:
                # A path, or the like: it begins with a slash, and goes on.
                self._ask(line)
        return True

    def _ask(self, question: str) -> None:
        try:
            answer = ask(self._client, self._conversation.asked(question), self._settings)
        except ClientError as error:
            self._terminal.say(str(error), Tone.ERROR)
            return
        self._say(answer.pace)
        if answer.text:
            self._conversation.answered(question, answer.text)

    def _retry(self) -> None:
        question = self._conversation.take_back()
        if question is None:
            self._say("nothing was asked yet")
        else:
            self._say(f"once more: {question}")
            self._ask(question)

    def _model(self, name: str) -> None:
        try:
            models = self._client.models()
        except ClientError as error:
            self._terminal.say(str(error), Tone.ERROR)
            return
        if name in [model.name for model in models]:
            self._settings = replace(self._settings, model=name)
            self._say(f"{name} answers from now on")
            return
        if name:
            self._say(f"there is no model {name} here")
        asked = self._settings.model or next((model.name for model in models), None)
        for model in models:
            note = "" if model.is_loaded else ", on disk: the first question loads it"
            self._say(f"{'*' if model.name == asked else ' '} {model.name}{note}")
        if not models:
            self._say("the mesh runs no model")

    def _system(self, text: str) -> None:
        if text:
            self._conversation.system = None if text == "-" else text
        told = self._conversation.system
        self._say(f"the model is told first: {told}" if told else "the model is told nothing first")

    def _save(self, file: Path) -> None:
        if file.exists() and not self._confirm(f"{file} exists. Overwrite it?"):
            self._say(f"{file} exists, and stays as it is")
            return
        try:
            save(self._conversation, file)
        except OSError as error:
            self._terminal.say(f"{file} cannot be written: {error.strerror}", Tone.ERROR)
        else:
            self._say(f"{_count(self._conversation)} in {file}")

    def _load(self, file: Path) -> None:
        try:
            self._conversation = load(file)
        except OSError as error:
            self._terminal.say(f"{file} cannot be read: {error.strerror}", Tone.ERROR)
        except UnreadableChat as error:
            self._terminal.say(str(error), Tone.ERROR)
        else:
            self._say(f"{_count(self._conversation)} from {file}")

    def _say(self, text: str) -> None:
        self._terminal.say(text, Tone.DIM)


def _count(conversation: Conversation) -> str:
    count = len(conversation.all_messages)
    return f"{count} message{'s' if count != 1 else ''}"
