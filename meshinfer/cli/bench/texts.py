"""Figures as people read them."""

from .figures import Report, Setting

NONE = "–"
"""What could not be measured."""


def count_text(count: int, noun: str) -> str:
    """`1 peer`, `4 peers`."""
    return f"{count} {noun}{'s' if count != 1 else ''}"


def number_text(value: float | None) -> str:
    """What means something of a number: `0.52`, `13.9`, `1046`."""
    if value is None:
        return NONE
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def length_text(setting: Setting) -> str:
    """`128 tokens after each prompt, medians of 3 rounds`."""
    rounds = "one round" if setting.rounds == 1 else f"medians of {setting.rounds} rounds"
    return f"{setting.tokens} tokens after each prompt, {rounds}"


def place_text(report: Report) -> str:
    """Where it was measured; peers that share one machine share its cores, which no picture should hide."""
    hardware = report.hardware
    place = "asked from" if report.setting.peers is None else "all peers on one"
    return f"{place} {hardware.chip}, {count_text(hardware.cores, 'core')}"
