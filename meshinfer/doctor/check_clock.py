"""Whether peers agree about the time of day: of two changes to what the mesh runs, the later one counts."""

from .finding import Finding, good, warning
from .observed import Observed

MOST_APART_S = 5.0

_SETTING = {
    "darwin": "on the one that is wrong: sudo sntp -sS time.apple.com",
    "linux": "on the one that is wrong: sudo timedatectl set-ntp true",
}


def check_clock(observed: Observed) -> list[Finding]:
    """Compare the clocks of peers with this machine's."""
    if not observed.clocks:
        return []
    apart = [each for each in observed.clocks if abs(each.ahead_s) - each.error_s > MOST_APART_S]
    if not apart:
        most = max(abs(each.ahead_s) + each.error_s for each in observed.clocks)
        return [good(f"clocks agree within {most:.0f} s")]
    return [
        warning(
            f"the clock of {each.name} is {abs(each.ahead_s):.0f} s "
            f"{'ahead of' if each.ahead_s > 0 else 'behind'} this one: what is loaded or unloaded last may "
            "not be what counts",
            _SETTING.get(observed.platform, _SETTING["linux"]),
        )
        for each in apart
    ]
