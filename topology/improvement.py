"""When a valid plan should give way to another one: never because results merely differ."""

from .cuts import allowance
from .desire import SPREAD_ALL, SPREAD_AUTO
from .question import Answer, Cost
from .ring import Ring


def is_better(answer: Answer, present: Ring, spread: int, payback_s: float) -> bool:
    """Whether the answer's ring is worth a reload.

    It is wider where a spread was asked for; or it is faster by a tenth, and loading it takes no more than
    a tenth of what it gains over `payback_s`. Faster is a step, or the slowest stage where a step takes no
    longer: one reader waits for the whole step, many for the slowest stage. Of a model that is spread on
    purpose the slowest stage must not get slower for that: then its steps are faster by better cables alone.
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
    # A model that is spread on purpose serves many, whom the slowest stage holds up.
    is_step_as_good = spread != SPREAD_AUTO or new.step_ns <= allowance(old.step_ns)
    is_for_many = is_step_as_good and _gains(new.slowest_ns, old.slowest_ns, new.load_ns, payback_s)
    is_stage_as_good = spread == SPREAD_AUTO or new.slowest_ns <= old.slowest_ns
    return is_for_many or (is_stage_as_good and _gains(new.step_ns, old.step_ns, new.load_ns, payback_s))


def _gains(new_ns: int, old_ns: int, load_ns: int, payback_s: float) -> bool:
    gained_ns = old_ns - new_ns
    return gained_ns * 10 >= old_ns and load_ns * old_ns * 10 <= gained_ns * round(payback_s * 1e9)
