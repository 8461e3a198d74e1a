"""Amounts as people write them."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB")

GIGABYTE = 10**9


def size_text(size_bytes: int) -> str:
    """`98 MB`, `1.4 GB`: powers of ten, two digits or three."""
    amount, unit = float(size_bytes), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit and amount < 9.95 else f"{amount:.0f} {_UNITS[unit]}"
