"""Texts that recur in many rows (types, search parameters, code systems), kept as small numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import apsw

# The most recent terms by far are types, parameters and systems; an import with a new system in
# each resource must not grow memory without bound.
_CACHE_TERMS = 100_000

Add = Callable[[str], int]


class Terms:
    """Text → number for writers, number → text for readers. A number never changes its text."""

    def __init__(self, add: Add) -> None:
        """`add` gives the number of a text, making a new one durable."""
        self._add = add
        self._ids: dict[str, int] = {}
        self._texts: dict[int, str] = {}

    def id(self, text: str) -> int:
        """The number of a text. A new text is made durable before any row can refer to it."""
        found = self._ids.get(text)
        if found is None:
            found = self._add(text)
            self._remember(text, found)
        return found

    def find(self, connection: apsw.Connection, text: str) -> int | None:
        """The number of a text for a reader; None when no row can refer to it."""
        found = self._ids.get(text)
        if found is None:
            found = connection.execute("SELECT id FROM term WHERE text = ?", (text,)).get
            if found is not None:
                self._remember(text, found)
        return found

    def text(self, connection: apsw.Connection, id: int) -> str:
        """The text of a number that a row refers to."""
        found = self._texts.get(id)
        if found is None:
            found = str(connection.execute("SELECT text FROM term WHERE id = ?", (id,)).get)
            self._remember(found, id)
        return found

    def _remember(self, text: str, id: int) -> None:
        if len(self._ids) >= _CACHE_TERMS:
            self._ids, self._texts = {}, {}
        self._ids[text] = id
        self._texts[id] = text


def add_term(connection: apsw.Connection, text: str) -> int:
    """The number of a text, within the connection's own transaction; new where it had none."""
    connection.execute("INSERT OR IGNORE INTO term (text) VALUES (?)", (text,))
    return int(connection.execute("SELECT id FROM term WHERE text = ?", (text,)).get)


def intern_in(connection: apsw.Connection) -> Callable[[str], int]:
    """Numbers of texts within the connection's own transaction, adding those that are missing."""

    @lru_cache(maxsize=_CACHE_TERMS)
    def intern(text: str) -> int:
        return add_term(connection, text)

    return intern
