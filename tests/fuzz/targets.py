"""All that is fuzzed, by name."""

from .api_targets import API_TARGETS
from .file_targets import FILE_TARGETS
from .gossip_targets import GOSSIP_TARGETS
from .platform_targets import PLATFORM_TARGETS
from .target import Target
from .wire_targets import WIRE_TARGETS

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (*WIRE_TARGETS, *GOSSIP_TARGETS, *API_TARGETS, *FILE_TARGETS, *PLATFORM_TARGETS)
}


def chosen(prefix: str) -> list[Target]:
    """Those whose name is `prefix`, or begins with it and a dot; all for an empty one.

    Raises:
        ValueError: there is none.
    """
    found = [
        target
        for name, target in TARGETS.items()
        if not prefix or name == prefix or name.startswith(prefix + ".")
    ]
    if not found:
        raise ValueError(f"no target {prefix!r}: there are {', '.join(TARGETS)}")
    return found
