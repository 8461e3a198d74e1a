"""Models that mlx-lm has no code for, or whose repository brings its own: that is never run."""

import difflib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meshinfer.errors import UnsupportedModel

_INSTEAD = "use a model that needs none, such as a conversion in mlx-community on Hugging Face"


def needs_code(path: Path, what: str) -> UnsupportedModel:
    """The error for a model that is nothing without Python code. what: the file that it names, or its use."""
    return UnsupportedModel(
        f"{path}: needs {what} out of its repository; code from there is never run: {_INSTEAD}"
    )


def unknown_type(path: Path, config: Mapping[str, Any]) -> UnsupportedModel:
    """The error for a model type that mlx-lm does not have, with those that are called nearly the same.

    Call it once mlx-lm has been imported.
    """
    from mlx_lm import models

    model_type = config.get("model_type")
    if isinstance(config.get("auto_map"), dict):
        return needs_code(path, f"the code of {model_type!r}, which mlx-lm does not know,")
    known = [module.name for module in pkgutil.iter_modules(models.__path__)]
    close = difflib.get_close_matches(str(model_type), known, n=3)
    hint = f"it knows {', '.join(close)}; " if close else ""
    return UnsupportedModel(
        f"{path}: mlx-lm does not know the model type {model_type!r}: {hint}"
        "check model_type in config.json, or update mlx-lm (`pip install -U mlx-lm`)"
    )
