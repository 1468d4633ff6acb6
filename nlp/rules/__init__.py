"""Rules as data: tab-separated tables with comments, read once, malformed rows refused."""

from collections.abc import Iterator
from importlib.resources import files


def rows(name: str, columns: int) -> Iterator[list[str]]:
    """The rows of `rules/<name>`: no comments, no blank lines, exactly `columns` cells.

    Raises ValueError naming file and line for a row of another width.
    """
    text = files("nlp.rules").joinpath(name).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != columns:
            raise ValueError(
                f"nlp/rules/{name} line {number}: {len(cells)} columns, expected {columns}; "
                "separate cells with one tab"
            )
        yield cells
