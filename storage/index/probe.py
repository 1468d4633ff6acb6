"""What an index answers: a probe, the entries of one parameter that meet one alternative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from storage.index.condition import ANY_VALUE, Condition, equal_to

Find = Callable[[str], int | None]
"""The number of a text, None when no row can have it."""

Intern = Callable[[str], int]
"""The number of a text, a new one where it has none."""


_TEXTS = {"token": "code", "reference": "target", "string": "normalized", "uri": "uri"}
"""Kinds of parameters whose values are in the order of a text, and its column."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A condition over the values of one parameter, `p`, of the kind `kind`.

    How the table of hot rows answers it:
    `by_version`: the table is keyed so that one `v` can be checked in logarithmic time.
    `version_first`: that key begins with `v` (else with the value).
    `seekable`: an index finds the rows, reading little more than those that meet the condition.
    """

    kind: str
    p: int
    condition: Condition = ANY_VALUE
    by_version: bool = True
    version_first: bool = False
    seekable: bool = True

    @property
    def table(self) -> str:
        """The table of hot rows."""
        return self.kind.replace("$", "_") + "_index"

    @property
    def where(self) -> str:
        """The condition on hot rows; it begins with `p = ?`."""
        return f"p = ? AND ({self.condition.sql()[0]})"

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments of `where`."""
        return (self.p, *self.condition.sql()[1])

    @property
    def of_one_text(self) -> bool:
        """Whether it asks for one text of a kind whose blocks are in the order of that text."""
        column = _TEXTS.get(self.kind)
        return column is not None and equal_to(self.condition, column) is not None

    def of(self, p: int) -> Probe:
        """The same of another parameter."""
        if p == self.p:
            return self
        return Probe(
            self.kind, p, self.condition, self.by_version, self.version_first, self.seekable
        )

    def select(self) -> str:
        """SQL for the `v` of all hot rows that meet it."""
        return f"SELECT v FROM {self.table} WHERE {self.where}"

    def check(self, v: str) -> str:
        """SQL for whether the version whose number is the expression `v` has such a hot row."""
        if not self.by_version:
            return f"{v} IN ({self.select()})"
        # The unary plus keeps SQLite from the index by value: for each version it would go through
        # all that is in the value's range.
        where = f"+{self.where}" if self.version_first else self.where
        return f"EXISTS (SELECT 1 FROM {self.table} WHERE {where} AND v = {v})"
