"""Calibration: of mentions with a score of 0.8, eight in ten should be right.

Isotonic regression (Zadrozny and Elkan 2002) from the log probability of a mention's tags to the
share of mentions of that type that were right in span and type on held-out documents, kept as a
few points with straight lines between them.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np

Points = tuple[tuple[float, float], ...]
# Of types with fewer mentions than this the whole scheme's curve is used.
MIN_MENTIONS = 60
ANY = "*"
_BINS = 8
# Held-out documents never show that a mention is certain, nor that it is impossible.
_LOWEST, _HIGHEST = 0.02, 0.99


class Calibration:
    """The curves of a model: scheme → type (or `*`) → points."""

    def __init__(self, curves: Mapping[str, Mapping[str, Points]]) -> None:
        self._curves = {
            scheme: {
                kind: (np.array([x for x, _ in points]), np.array([y for _, y in points]))
                for kind, points in kinds.items()
            }
            for scheme, kinds in curves.items()
        }

    def __call__(self, scheme: str, kind: str, log: float) -> float:
        """The score of a mention whose tags have this log probability."""
        kinds = self._curves.get(scheme, {})
        curve = kinds.get(kind) or kinds.get(ANY)
        if curve is None:
            return float(np.exp(log))
        return float(np.interp(log, *curve))


def _sum(one: list[float], other: list[float]) -> list[float]:
    return [a + b for a, b in zip(one, other, strict=True)]


def isotonic(scored: Sequence[tuple[float, bool]]) -> Points:
    """Pool adjacent violators over bins of equal count; points at the bins' mean scores."""
    size = max(1, len(scored) // _BINS)
    blocks: list[list[float]] = []  # sum of logs, sum of right, count
    for log, rows in groupby(sorted(scored), key=lambda row: row[0]):
        truths = [right for _, right in rows]
        new = [log * len(truths), float(sum(truths)), float(len(truths))]
        if blocks and blocks[-1][2] < size:
            blocks[-1] = _sum(blocks[-1], new)
        else:
            blocks.append(new)
    made: list[list[float]] = []
    for block in blocks:
        made.append(block)
        while len(made) > 1 and made[-2][1] / made[-2][2] >= made[-1][1] / made[-1][2]:
            last = made.pop()
            made[-1] = _sum(made[-1], last)
    return tuple(
        (round(x / n, 4), round(min(_HIGHEST, max(_LOWEST, right / n)), 4)) for x, right, n in made
    )


def curves(
    scored: Mapping[str, Sequence[tuple[str, float, bool]]],
) -> dict[str, dict[str, Points]]:
    """Curves from, for each scheme, the type, log probability and truth of held-out mentions."""
    made: dict[str, dict[str, Points]] = {}
    for scheme, rows in scored.items():
        kinds = {kind for kind, _, _ in rows}
        made[scheme] = {ANY: isotonic([(x, y) for _, x, y in rows])} if rows else {}
        for kind in sorted(kinds):
            own = [(x, y) for k, x, y in rows if k == kind]
            if len(own) >= MIN_MENTIONS:
                made[scheme][kind] = isotonic(own)
    return made
