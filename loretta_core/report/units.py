"""Numbers as text, with units, and round ticks for axes."""

from __future__ import annotations

from collections.abc import Sequence

DASH = "–"
"""Stands for a number that was never reached."""


TIME_TICKS = (
    *(scale * unit for unit in (0.001, 0.01, 0.1) for scale in (1, 2, 3, 5)),
    *(1, 2, 3, 5, 10, 20, 30, 60, 120, 180, 300, 600, 1200, 1800),
    *(3600 * hours for hours in (1, 2, 4, 8, 12, 24, 48, 96, 192, 384)),
)
"""Round times in seconds, 1 ms to 16 days; dense enough for two of them on every axis."""


SIZE_TICKS = tuple(float(2**power) for power in range(20, 44))
"""Powers of two in bytes, 1 MiB to 8 TiB."""


def count(value: int | None) -> str:
    """Write a count: 1234567 → `1,234,567`."""
    return DASH if value is None else f"{value:,}"


def counted(number: int, noun: str) -> str:
    """Write a number with its noun: `1 cell`, `2,000 cells`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], *, most: int = 5) -> str:
    """Write the first of several names, and how many there are beside them: `a, b and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def short_count(value: float) -> str:
    """Write a count in three digits: 1234567 → `1.23M`."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * limit:  # what would be rounded to four digits belongs to the next unit
            return f"{value / limit:.3g}{unit}"
    return f"{value:g}"


def seconds(value: float | None) -> str:
    """Write a time in seconds: 0.84 → `0.8 s`, 75 → `1 min 15 s`, 5000 → `1 h 23 min`."""
    if value is None:
        return DASH
    if value < 59.95:
        return f"{value:.1f} s"
    if value < 3599.5:
        return f"{round(value) // 60} min {round(value) % 60:02d} s"
    minutes = round(value / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(value_bytes: int | None) -> str:
    """Write a size in bytes: 4e4 → `39 KiB`, 5e8 → `477 MiB`."""
    if value_bytes is None:
        return DASH
    if 0 < value_bytes < 1023.5 * 2**10:
        return f"{value_bytes / 2**10:.0f} KiB"
    if value_bytes < 1023.5 * 2**20:
        return f"{value_bytes / 2**20:.0f} MiB"
    return f"{value_bytes / 2**30:.1f} GiB"


def share(value: float | None) -> str:
    """Write a score: 0.91234 → `0.912`."""
    return DASH if value is None else f"{value:.3f}"


def signed(value: float) -> str:
    """Write a difference of scores: -0.0123 → `−0.012`; what rounds to zero has no sign."""
    return f"{value:+.3f}".replace("-", "−") if abs(value) >= 0.0005 else "0.000"


def with_interval(value: float | None, *, low: float | None, high: float | None) -> str:
    """Write a score with its interval: 0.9, 0.88, 0.92 → `0.900 ± 0.020`, half its width, since Wilson's interval is not symmetric around the score."""
    if value is None:
        return DASH
    if low is None or high is None:
        return share(value)
    return f"{value:.3f} ± {(high - low) / 2:.3f}"


def tick_seconds(value: float) -> str:
    """Write a time in seconds for an axis: 0.5 → `0.5 s`, 20 → `20 s`, 120 → `2 min`, 7200 → `2 h`."""
    for limit, unit in ((3600, "h"), (60, "min")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:g} s"
