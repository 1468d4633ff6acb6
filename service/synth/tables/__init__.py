"""Clinical tables as tab-separated files: codes, doses, rates; readable without Python.

Lines that begin with `#` are comments; the first other line names the columns.
"""

from __future__ import annotations

from importlib.resources import files


def rows(name: str) -> list[dict[str, str]]:
    """The rows of `<name>.tsv`. Raises ValueError naming the line of a row of the wrong width."""
    columns: list[str] = []
    found: list[dict[str, str]] = []
    text = (files(__package__) / f"{name}.tsv").read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            continue
        cells = line.split("\t")
        if not columns:
            columns = cells
        elif len(cells) != len(columns):
            raise ValueError(
                f"{name}.tsv line {number} has {len(cells)} cells, not one for each of the "
                f"{len(columns)} columns."
            )
        else:
            found.append(dict(zip(columns, cells, strict=True)))
    return found


def listed(cell: str, separator: str = "|") -> tuple[str, ...]:
    """The parts of a cell that holds a list."""
    return tuple(part.strip() for part in cell.split(separator)) if cell.strip() else ()


def steps(cell: str) -> tuple[tuple[float, float], ...]:
    """The pairs of a cell such as `18:0 25:0.006`."""
    pairs = (part.split(":") for part in cell.split())
    return tuple((float(x), float(y)) for x, y in pairs)
