"""Under which licences others let us use what we need: `python -m tests.supply.licences` tells of each."""

import re
from importlib.metadata import Distribution

from .closure import needed

ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC", "MIT", "MIT-0",
    "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib",
}  # fmt: skip
"""Nothing is asked for but the notice, and, under the MPL, the source of that package's own files."""

LIBRARIES = {"zeroconf": "LGPL-2.1-or-later", "pyte": "LGPL-3.0"}
"""Used as they are, as libraries that anybody can exchange; pyte by tests alone."""

UNSTATED = {"atheris": "Apache-2.0"}
"""Their metadata name none; their repositories do."""

_NAMES = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
"""What free texts and classifiers mean, as SPDX calls it."""


def stated(of: Distribution) -> str:
    """The licence that a distribution states: an SPDX expression, else its free text, else classifiers."""
    metadata = of.metadata
    expression, text = (" ".join(metadata.get_all(key) or ()) for key in ("License-Expression", "License"))
    classifiers = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or ()]
    named = [each for each in classifiers if each.lower() in _NAMES]
    if expression:
        return expression
    # A whole licence instead of its name.
    if text and "\n" not in text.strip() and len(text) < 80:
        return text.strip()
    return " AND ".join(named) or UNSTATED.get(metadata["Name"].lower(), "")


def objection(name: str, licence: str) -> str:
    """Why a distribution may not be used; empty if it may. Of alternatives one is enough."""
    if LIBRARIES.get(name) == _spdx(licence):
        return ""
    for alternative in re.split(r"\bOR\b", licence):
        parts = [_spdx(part) for part in re.split(r"\bAND\b", alternative)]
        if all(part in ALLOWED for part in parts):
            return ""
    return f"{name} is under {licence or 'no stated licence'}: see whether that is allowed, and say so here"


def _spdx(text: str) -> str:
    # Some names end with a bracket of their own.
    bare = text.strip()
    return _NAMES.get(bare.lower()) or _NAMES.get(bare.strip("()").lower(), bare.strip("() "))


if __name__ == "__main__":
    for name, found in needed().items():
        print(f"{name:28} {stated(found)}")
