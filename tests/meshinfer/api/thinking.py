"""Models that call tools and think, as far as their tokenizers go."""

from pathlib import Path

from meshinfer.actors.mail import LocalModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.tokenizer import load_tokenizer
from tests.tiny import CHAT_TEMPLATE, make_templated_model

QWEN = (
    "{% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}"
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}"
    "{% for tool_call in m.tool_calls or [] %}<tool_call>{{ tool_call.name }}{% endfor %}<|end|>\n"
    "{% endfor %}"
    "<|start|>assistant\n"
    "{% if enable_thinking %}<think>\n{% else %}<think>\n\n</think>\n\n{% endif %}"
)
"""Calls are JSON between marks; thinking is begun by the template, or kept from."""

CODER = "{{ messages }}{{ tools }}<tool_call>\n<function=x>"
"""Calls are written like XML."""

MISTRAL = "{{ messages }}{{ tools }}[TOOL_CALLS]"
"""Calls are a JSON array that goes on to the answer's end."""

PLAIN = CHAT_TEMPLATE
MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>")


def model_with(path: Path, template: str, *special: str) -> LocalModel:
    """The tiny model with another template, and more special tokens."""
    make_templated_model(path, template, *special)
    files = ModelFiles("tiny", f"dir:{path}", path)
    return LocalModel(files, read_card(files), load_tokenizer(files))
