"""Conditions over the columns of index entries, said once for both tiers.

A condition is written as SQL for the rows of hot versions, tested over the arrays of a block for
flushed ones, and compared with the bounds of a block to leave it unread. One definition, so the
tiers cannot come to mean different things.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from storage.index.texts import Texts

Column = np.ndarray | Texts
Columns = Mapping[str, Column]
"""The distinct values of a block, by the name of the column."""

Bounds = Mapping[str, tuple[Any, Any]]
"""Least and greatest value of some columns; texts as their UTF-8 bytes."""

Sql = tuple[str, tuple[Any, ...]]


class Condition(Protocol):
    """What an entry must meet."""

    def sql(self, names: Mapping[str, str] | None = None) -> Sql:
        """As SQL with its arguments; `names` gives the expression for a column."""

    def mask(self, columns: Columns) -> np.ndarray:
        """Which of the values meet it (bool, one for each)."""

    def possible(self, bounds: Bounds) -> bool:
        """Whether a value within the bounds could meet it; true where they do not say."""


_COMPARE: dict[str, Any] = {
    "=": np.equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


@dataclass(frozen=True, slots=True)
class Compare:
    """`column` compared (`=`, `<`, `<=`, `>`, `>=`) with a value; texts in order of code points."""

    column: str
    operator: str
    value: Any

    def sql(self, names: Mapping[str, str] | None = None) -> Sql:
        """As SQL."""
        return f"{(names or {}).get(self.column, self.column)} {self.operator} ?", (self.value,)

    def mask(self, columns: Columns) -> np.ndarray:
        """Which of the values meet it."""
        column = columns[self.column]
        if isinstance(column, Texts):
            return column.compare(self.operator, self.value.encode())
        found: np.ndarray = _COMPARE[self.operator](column, self.value)
        return found

    def possible(self, bounds: Bounds) -> bool:
        """Whether a value within the bounds could meet it."""
        if self.column not in bounds:
            return True
        low, high = bounds[self.column]
        value = self.value.encode() if isinstance(self.value, str) else self.value
        if self.operator == "=":
            return bool(low <= value <= high)
        if self.operator == "<":
            return bool(low < value)
        if self.operator == "<=":
            return bool(low <= value)
        return bool(high > value if self.operator == ">" else high >= value)


@dataclass(frozen=True, slots=True)
class Prefix:
    """`column` begins with a text."""

    column: str
    text: str

    def sql(self, names: Mapping[str, str] | None = None) -> Sql:
        """As SQL: a range that an index can seek."""
        return self._range().sql(names)

    def mask(self, columns: Columns) -> np.ndarray:
        """Which of the values meet it."""
        return self._range().mask(columns)

    def possible(self, bounds: Bounds) -> bool:
        """Whether a value within the bounds could meet it."""
        return self._range().possible(bounds)

    def _range(self) -> All:
        end = after_prefix(self.text)
        parts = (Compare(self.column, ">=", self.text),) if self.text else ()
        return All(parts if end is None else (*parts, Compare(self.column, "<", end)))


@dataclass(frozen=True, slots=True)
class Contains:
    """`column` contains a text."""

    column: str
    text: str

    def sql(self, names: Mapping[str, str] | None = None) -> Sql:
        """As SQL."""
        return f"instr({(names or {}).get(self.column, self.column)}, ?) > 0", (self.text,)

    def mask(self, columns: Columns) -> np.ndarray:
        """Which of the values meet it."""
        column = columns[self.column]
        assert isinstance(column, Texts)
        return column.contains(self.text.encode())

    def possible(self, bounds: Bounds) -> bool:
        """Bounds say nothing of what is within."""
        return True


@dataclass(frozen=True, slots=True)
class WithinDistance:
    """Two columns of degrees are a place at most `angle` (radians) from another."""

    latitude: str
    longitude: str
    of_latitude: float
    of_longitude: float
    angle: float

    def sql(self, names: Mapping[str, str] | None = None) -> Sql:
        """As SQL: the haversine formula."""
        names = names or {}
        latitude = names.get(self.latitude, self.latitude)
        longitude = names.get(self.longitude, self.longitude)
        text = (
            f"pow(sin(radians({latitude} - ?) / 2), 2) + cos(radians({latitude})) * ? "
            f"* pow(sin(radians({longitude} - ?) / 2), 2) <= ?"
        )
        return text, (
            self.of_latitude,
            math.cos(math.radians(self.of_latitude)),
            self.of_longitude,
            self._most(),
        )

    def mask(self, columns: Columns) -> np.ndarray:
        """Which of the values meet it."""
        latitude, longitude = columns[self.latitude], columns[self.longitude]
        assert not isinstance(latitude, Texts) and not isinstance(longitude, Texts)
        north = np.sin(np.radians(latitude - self.of_latitude) / 2) ** 2
        east = np.sin(np.radians(longitude - self.of_longitude) / 2) ** 2
        scale = np.cos(np.radians(latitude)) * math.cos(math.radians(self.of_latitude))
        found: np.ndarray = north + scale * east <= self._most()
        return found

    def possible(self, bounds: Bounds) -> bool:
        """The bounds of a circle are conditions beside this one."""
        return True

    def _most(self) -> float:
        # A nanoradian (6 mm) for rounding: what is exactly so far counts.
        return math.sin(min(self.angle / 2 + 5e-10, math.pi / 2)) ** 2


@dataclass(frozen=True, slots=True)
class All:
    """Every part is met; true when there is none."""

    parts: tuple[Condition, ...]

    def sql(self, names: Mapping[str, str] | None = None) -> Sql:
        """As SQL."""
        return _joined(" AND ", "1", self.parts, names)

    def mask(self, columns: Columns) -> np.ndarray:
        """Which of the values meet it."""
        found = np.ones(_size(columns), bool)
        for part in self.parts:
            found &= part.mask(columns)
        return found

    def possible(self, bounds: Bounds) -> bool:
        """Whether a value within the bounds could meet it."""
        return all(part.possible(bounds) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part is met."""

    parts: tuple[Condition, ...]

    def sql(self, names: Mapping[str, str] | None = None) -> Sql:
        """As SQL."""
        return _joined(" OR ", "0", self.parts, names)

    def mask(self, columns: Columns) -> np.ndarray:
        """Which of the values meet it."""
        found = np.zeros(_size(columns), bool)
        for part in self.parts:
            found |= part.mask(columns)
        return found

    def possible(self, bounds: Bounds) -> bool:
        """Whether a value within the bounds could meet it."""
        return any(part.possible(bounds) for part in self.parts)


ANY_VALUE = All(())


def equal_to(condition: Condition, column: str) -> str | None:
    """The text that a column has in every value that meets a condition; None where it may vary."""
    if isinstance(condition, Compare):
        if condition.column == column and condition.operator == "=":
            return condition.value if isinstance(condition.value, str) else None
    elif isinstance(condition, All):
        for part in condition.parts:
            found = equal_to(part, column)
            if found is not None:
                return found
    return None


def renamed(condition: Condition, place: int) -> Condition:
    """The same condition over columns with a number after their names."""
    if isinstance(condition, Compare):
        return Compare(f"{condition.column}{place}", condition.operator, condition.value)
    if isinstance(condition, Prefix):
        return Prefix(f"{condition.column}{place}", condition.text)
    if isinstance(condition, Contains):
        return Contains(f"{condition.column}{place}", condition.text)
    if isinstance(condition, All | Either):
        return type(condition)(tuple(renamed(part, place) for part in condition.parts))
    raise TypeError(f"a {type(condition).__name__} has no columns to be renamed")


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


def _joined(
    word: str, none: str, parts: tuple[Condition, ...], names: Mapping[str, str] | None
) -> Sql:
    texts: list[str] = []
    values: list[Any] = []
    for part in parts:
        text, args = part.sql(names)
        texts.append(f"({text})" if isinstance(part, All | Either) else text)
        values.extend(args)
    return word.join(texts) or none, tuple(values)


def _size(columns: Columns) -> int:
    return len(next(iter(columns.values())))
