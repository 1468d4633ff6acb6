"""The reliability plot: of mentions with about one score, how many were right."""

from collections.abc import Mapping, Sequence

_SIDE, _MARGIN = 220, 36
_BINS = 10
_MIN_IN_BIN = 10


def bins(scored: Sequence[tuple[float, bool]]) -> list[tuple[float, float, int]]:
    """Mean score, share right and count of each tenth that holds enough mentions."""
    made = []
    for number in range(_BINS):
        low, high = number / _BINS, (number + 1) / _BINS
        inside = [(s, y) for s, y in scored if low <= s < high or (high == 1.0 and s == 1.0)]
        if len(inside) >= _MIN_IN_BIN:
            count = len(inside)
            made.append(
                (sum(s for s, _ in inside) / count, sum(y for _, y in inside) / count, count)
            )
    return made


def expected_error(scored: Sequence[tuple[float, bool]]) -> float:
    """Expected calibration error: the mean distance between score and share right, over bins."""
    rows = bins(scored)
    total = sum(count for _, _, count in rows)
    return sum(abs(score - right) * count for score, right, count in rows) / max(1, total)


def reliability_svg(scored: Mapping[str, Sequence[tuple[float, bool]]]) -> str:
    """One plot a scheme, side by side, as an SVG of its own."""
    step = _SIDE + 2 * _MARGIN
    width, height = step * len(scored), step
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, (name, rows) in enumerate(sorted(scored.items())):
        parts += _plot(number * step + _MARGIN, name, rows)
    return "\n".join([*parts, "</svg>", ""])


def _plot(left: int, name: str, scored: Sequence[tuple[float, bool]]) -> list[str]:
    def x(value: float) -> float:
        return round(left + value * _SIDE, 1)

    def y(value: float) -> float:
        return round(_MARGIN + (1 - value) * _SIDE, 1)

    rows = bins(scored)
    largest = max((count for _, _, count in rows), default=1)
    error = expected_error(scored)
    middle, halfway = left + _SIDE / 2, _MARGIN + _SIDE / 2
    made = [
        f'<rect x="{left}" y="{_MARGIN}" width="{_SIDE}" height="{_SIDE}" fill="none" '
        'stroke="#999"/>',
        f'<path d="M{x(0)} {y(0)}L{x(1)} {y(1)}" stroke="#bbb" stroke-dasharray="4 3"/>',
        f'<text x="{left}" y="{_MARGIN - 10}">{name}: {len(scored)} mentions, '
        f"error {error:.3f}</text>",
        f'<text x="{middle}" y="{_MARGIN + _SIDE + 28}" text-anchor="middle">score</text>',
        f'<text x="{left - 24}" y="{halfway}" text-anchor="middle" '
        f'transform="rotate(-90 {left - 24} {halfway})">share right</text>',
    ]
    for tick in (0.0, 0.5, 1.0):
        made.append(f'<text x="{x(tick)}" y="{y(0) + 14}" text-anchor="middle">{tick:g}</text>')
        made.append(f'<text x="{left - 4}" y="{y(tick) + 4}" text-anchor="end">{tick:g}</text>')
    line = " ".join(f"{x(score)},{y(right)}" for score, right, _ in rows)
    made.append(f'<polyline points="{line}" fill="none" stroke="#0b6bcb" stroke-width="2"/>')
    for score, right, count in rows:
        radius = round(2 + 5 * (count / largest) ** 0.5, 1)
        made.append(f'<circle cx="{x(score)}" cy="{y(right)}" r="{radius}" fill="#0b6bcb"/>')
    return made
