"""What makes models slow here although everything works."""

from .finding import Finding, good, warning
from .observed import Observed


def check_speed(observed: Observed) -> list[Finding]:
    """Whether floats are multiplied by a fast library; on a Mac they always are."""
    if observed.blas_advice is None or observed.platform != "linux":
        return []
    if not observed.blas_advice:
        return [good("OpenBLAS multiplies floats")]
    reason, _, remedy = observed.blas_advice.partition(": ")
    return [warning(reason, *([remedy] if remedy else []))]
