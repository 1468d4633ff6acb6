"""Rules as data: tab-separated tables with comments, read once, malformed rows refused."""

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent


def lines(name: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of `rules/<name>` with their line numbers, without comments and blank lines."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, [cell.strip() for cell in line.split("\t")]


def rows(name: str, columns: int) -> Iterator[list[str]]:
    """The rows of `rules/<name>`, exactly `columns` cells each.

    Raises ValueError naming file and line for a row of another width.
    """
    for number, cells in lines(name):
        if len(cells) != columns:
            raise ValueError(
                f"nlp/rules/{name} line {number}: {len(cells)} columns, expected {columns}; "
                "separate cells with one tab"
            )
        yield cells
