"""Models that call tools and think, as far as their tokenizers go."""

import json
from pathlib import Path

from meshinfer.actors.mail import LocalModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.tokenizer import load_tokenizer
from tests.tiny import CHAT_TEMPLATE, make_tiny_model

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
    """The tiny model with another template, and more special tokens in the place of merges."""
    make_tiny_model(path, layers=1, hidden=16)
    file = path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": template}))
    file = path / "tokenizer.json"
    content = json.loads(file.read_text())
    for text in special:
        *_, last = content["model"]["vocab"]
        number = content["model"]["vocab"].pop(last)
        content["model"]["merges"].pop()
        content["model"]["vocab"] = {text: number, **content["model"]["vocab"]}
        content["added_tokens"].append({**content["added_tokens"][0], "id": number, "content": text})
    file.write_text(json.dumps(content))
    files = ModelFiles("tiny", f"dir:{path}", path)
    return LocalModel(files, read_card(files), load_tokenizer(files))
