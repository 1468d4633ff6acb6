"""What an index table answers: a probe, the rows of one parameter that meet one alternative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Find = Callable[[str], int | None]
"""The number of a text, None when no row can have it."""

Intern = Callable[[str], int]
"""The number of a text, a new one where it has none."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A condition over the columns of one index table; it begins with `p = ?`.

    `by_version`: the table is keyed so that one `v` can be checked in logarithmic time.
    `version_first`: that key begins with `v` (else with the value).
    `seekable`: an index finds the rows, reading little more than those that meet the condition.
    """

    table: str
    where: str
    args: tuple[Any, ...]
    by_version: bool = True
    version_first: bool = False
    seekable: bool = True

    def select(self) -> str:
        """SQL for the `v` of all rows that meet it."""
        return f"SELECT v FROM {self.table} WHERE {self.where}"

    def check(self, v: str) -> str:
        """SQL for whether the version whose number is the expression `v` has such a row."""
        if not self.by_version:
            return f"{v} IN ({self.select()})"
        # The unary plus keeps SQLite from the index by value: for each version it would go through
        # all that is in the value's range.
        where = f"+{self.where}" if self.version_first else self.where
        return f"EXISTS (SELECT 1 FROM {self.table} WHERE {where} AND v = {v})"


def escape_like(text: str) -> str:
    """Text for a LIKE pattern with `ESCAPE '\\'`."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def after_prefix(text: str) -> str | None:
    """The least text that sorts after every text beginning with `text`; None when there is none.

    SQLite compares text as UTF-8 bytes, which is the order of code points.
    """
    for position in range(len(text) - 1, -1, -1):
        code_point = ord(text[position])
        if code_point < 0x10FFFF:
            # Surrogates are no characters: the code point after U+D7FF is U+E000.
            following = 0xE000 if code_point == 0xD7FF else code_point + 1
            return text[:position] + chr(following)
    return None


def prefix_condition(column: str, text: str) -> tuple[str, tuple[str, ...]]:
    """`column` begins with `text`, as a range that an index can seek."""
    end = after_prefix(text)
    if not text:
        return "1", ()
    if end is None:
        return f"{column} >= ?", (text,)
    return f"{column} >= ? AND {column} < ?", (text, end)
