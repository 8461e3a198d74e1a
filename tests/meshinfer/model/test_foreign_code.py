from pathlib import Path
from typing import Any

import pytest

from meshinfer.model.foreign_code import needs_code, unknown_type
from meshinfer.model.runtime import prepare_mlx

PATH = Path("/models/m")


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"model_type": "quen3"}, "does not know the model type 'quen3': it knows qwen3"),
        ({"model_type": "zzzzzzzz"}, "'zzzzzzzz': check model_type in config.json, or update mlx-lm"),
        ({"model_type": None}, "the model type None"),
        (
            {"model_type": "own", "auto_map": {"AutoModel": "modeling_own.Own"}},
            "needs the code of 'own', which mlx-lm does not know, out of its repository; code from there is",
        ),
    ],
)
def test_a_model_type_that_does_not_exist_is_named(config: dict[str, Any], text: str) -> None:
    prepare_mlx()
    assert text in str(unknown_type(PATH, config))


def test_what_needs_code_says_what_to_use_instead() -> None:
    assert str(needs_code(PATH, "own.py")) == (
        "/models/m: needs own.py out of its repository; code from there is never run: "
        "use a model that needs none, such as a conversion in mlx-community on Hugging Face"
    )
