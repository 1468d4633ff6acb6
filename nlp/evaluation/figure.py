"""One measured figure, as `chartlake nlp eval` reports and saves it."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """`measure` of `item` in the evaluation `evaluation`, e.g. `exact F1` of `Disease` in `bc5cdr`.

    `low` and `high`: 95 % interval of the sampling of documents (bootstrap), None where there is
    none to give (counts, rates). `support`: how many items it is over.
    """

    evaluation: str
    item: str
    measure: str
    value: float
    low: float | None = None
    high: float | None = None
    support: int | None = None

    def row(self) -> str:
        """One line of a report."""
        interval = "" if self.low is None else f"  [{self.low:.3f}, {self.high:.3f}]"
        support = "" if self.support is None else f"  n={self.support}"
        value = f"{self.value:.3f}" if abs(self.value) < 10 else f"{self.value:,.0f}"
        return f"{self.evaluation:12} {self.item:32} {self.measure:18} {value}{interval}{support}"


@dataclass(slots=True)
class Result:
    """What one evaluation gives: its figures, and what went wrong, by kind, most frequent first.

    The errors quote the corpus, which is public; they are shown on request and never saved.
    """

    figures: list[Figure] = field(default_factory=list)
    errors: dict[str, list[tuple[str, int]]] = field(default_factory=dict)


def save(figures: Iterable[Figure], path: Path) -> None:
    """Write them as CSV, one a row, in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [f.name for f in fields(Figure)], lineterminator="\n")
        writer.writeheader()
        for figure in figures:
            row = asdict(figure)
            for name in ("value", "low", "high"):
                if row[name] is not None:
                    row[name] = round(row[name], 4)
            writer.writerow(row)
