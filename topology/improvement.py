"""When a valid plan should give way to another one: never because results merely differ."""

from .desire import SPREAD_ALL, SPREAD_AUTO
from .question import Answer, Cost
from .ring import Ring


def is_better(answer: Answer, present: Ring, spread: int, payback_s: float) -> bool:
    """Whether the answer's ring is worth a reload.

    It is wider where a spread was asked for; or it is faster by a tenth, and loading it takes no more than
    a tenth of what it gains over `payback_s`.
    """
    if spread != SPREAD_AUTO and len(answer.ring.stages) != len(present.stages):
        return is_nearer(answer.ring, present, spread)
    return answer.present is not None and _pays(answer.cost, answer.present, spread, payback_s)


def is_nearer(ring: Ring, present: Ring, spread: int) -> bool:
    """Whether a ring has a number of stages that is nearer to what was asked for."""
    new_stages, old_stages = len(ring.stages), len(present.stages)
    if spread == SPREAD_AUTO:
        return False
    if spread == SPREAD_ALL:
        return new_stages > old_stages
    return abs(new_stages - spread) < abs(old_stages - spread)


def _pays(new: Cost, old: Cost, spread: int, payback_s: float) -> bool:
    # One reader waits for the whole step; a model that is spread on purpose serves many, whom the slowest
    # stage holds up.
    new_ns, old_ns = (new.step_ns, old.step_ns) if spread == SPREAD_AUTO else (new.slowest_ns, old.slowest_ns)
    gained_ns = old_ns - new_ns
    if gained_ns * 10 < old_ns:
        return False
    return new.load_ns * old_ns * 10 <= gained_ns * round(payback_s * 1e9)
