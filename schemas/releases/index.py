"""The index file of one release: SQLite, read where it lies, so that little of it is in memory.

Tables: `meta`; `concept` (code, display, kind, active); `name` (key → code, for every name);
`parent` (is-a); for RxNorm `ingredient` (any code → its ingredients) and `product` (clinical drugs
by ingredients, strengths and form).
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FORMAT = "1"
_WORD = re.compile(r"[^\W_]+")
_BATCH_ROWS = 10_000
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE concept (
  code TEXT PRIMARY KEY, display TEXT NOT NULL, kind TEXT NOT NULL, active INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE name (
  key TEXT NOT NULL, code TEXT NOT NULL, term TEXT NOT NULL, PRIMARY KEY (key, code, term)
) WITHOUT ROWID;
CREATE TABLE parent (code TEXT NOT NULL, parent TEXT NOT NULL, PRIMARY KEY (code, parent))
  WITHOUT ROWID;
CREATE TABLE ingredient (code TEXT NOT NULL, ingredient TEXT NOT NULL,
  PRIMARY KEY (code, ingredient)) WITHOUT ROWID;
CREATE TABLE product (
  ingredients TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL, brand TEXT NOT NULL,
  PRIMARY KEY (ingredients, code)
) WITHOUT ROWID;
"""
_AT_THE_END = """
CREATE INDEX name_code ON name (code);
CREATE INDEX ingredient_of ON ingredient (ingredient, code);
CREATE INDEX parent_child ON parent (parent, code);
ANALYZE;
"""


def name_key(name: str) -> str:
    """What a name is looked up by: its words in lower case, whatever stands between them.

    >>> name_key("Crohn's disease (disorder)")
    'crohn s disease disorder'
    """
    return " ".join(_WORD.findall(name.casefold()))


@dataclass(frozen=True, slots=True)
class NamedConcept:
    """A concept of a release. `kind`: RxNorm's term type, SNOMED CT's semantic tag, LOINC's class;
    of ICD-10-CM `billable` or `category`."""

    code: str
    display: str
    kind: str
    active: bool


@dataclass(frozen=True, slots=True)
class ProductRow:
    """A clinical drug: its RxNorm name, the ingredients' codes, and the brand's name or ``."""

    code: str
    name: str
    ingredients: frozenset[str]
    brand: str


class IndexWriter:
    """Writes an index to a new file, durable when `finish` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None)
        # The file is thrown away when writing it fails.
        self._db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN;" + _SCHEMA)

    def concepts(self, rows: Iterable[tuple[str, str, str, int]]) -> None:
        """`(code, display, kind, active)`; the first of a code counts."""
        self._many("INSERT OR IGNORE INTO concept VALUES (?, ?, ?, ?)", rows)

    def names(self, rows: Iterable[tuple[str, str]]) -> None:
        """`(code, name)`, displays too."""
        keyed = ((name_key(name), code, name) for code, name in rows)
        self._many("INSERT OR IGNORE INTO name VALUES (?, ?, ?)", (r for r in keyed if r[0]))

    def parents(self, rows: Iterable[tuple[str, str]]) -> None:
        """`(code, parent)`."""
        self._many("INSERT OR IGNORE INTO parent VALUES (?, ?)", rows)

    def ingredients(self, rows: Iterable[tuple[str, str]]) -> None:
        """`(code, ingredient)` of brands, precise ingredients, combinations and products."""
        self._many("INSERT OR IGNORE INTO ingredient VALUES (?, ?)", rows)

    def products(self, rows: Iterable[ProductRow]) -> None:
        """Clinical drugs."""
        self._many(
            "INSERT OR IGNORE INTO product VALUES (?, ?, ?, ?)",
            (("|".join(sorted(r.ingredients)), r.code, r.name, r.brand) for r in rows),
        )

    def count(self) -> int:
        """How many concepts were written so far."""
        found: int = self._db.execute("SELECT count(*) FROM concept").fetchone()[0]
        return found

    def finish(self, meta: Mapping[str, str]) -> None:
        """Write what the file is about, and everything to the disk."""
        self._many("INSERT INTO meta VALUES (?, ?)", {**meta, "format": FORMAT}.items())
        self._db.execute("COMMIT")
        self._db.executescript(_AT_THE_END)
        self._db.close()
        with self._path.open("rb") as file:
            os.fsync(file.fileno())

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._db.close()
        with suppress(FileNotFoundError):
            self._path.unlink()

    def _many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        batch: list[tuple[object, ...]] = []
        for row in rows:
            batch.append(row)
            if len(batch) >= _BATCH_ROWS:
                self._db.executemany(statement, batch)
                batch.clear()
        self._db.executemany(statement, batch)


class ReleaseIndex:
    """Answers questions from an index file; safe to use from many threads.

    Raises ValueError when the file is no index of this version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        try:
            rows = self._all("SELECT key, value FROM meta")
        except sqlite3.DatabaseError:
            raise ValueError(f"{path} is damaged; remove it and load the release again") from None
        self.meta = {str(key): str(value) for key, value in rows}
        if self.meta.get("format") != FORMAT:
            raise ValueError(f"{path} was written by another version; load the release again")

    @property
    def system(self) -> str:
        """The URI of the code system."""
        return self.meta["system"]

    @property
    def version(self) -> str:
        """The version as FHIR's `Coding.version` gives it."""
        return self.meta["version"]

    @property
    def title(self) -> str:
        """The release for people: `RxNorm 2025-10-06`."""
        return self.meta["title"]

    def concept(self, code: str) -> NamedConcept | None:
        """The concept of a code; None when the release has none."""
        return next(self._concepts("SELECT * FROM concept WHERE code = ?", code), None)

    def named(self, name: str) -> list[NamedConcept]:
        """The active concepts with that name, words and their order alike."""
        return list(
            self._concepts(
                "SELECT DISTINCT c.* FROM name n JOIN concept c ON c.code = n.code "
                "WHERE n.key = ? AND c.active ORDER BY c.code",
                name_key(name),
            )
        )

    def names(self, code: str) -> list[str]:
        """All names of a code, sorted."""
        found = self._all("SELECT DISTINCT term FROM name WHERE code = ? ORDER BY term", code)
        return [term for (term,) in found]

    def parents(self, code: str) -> list[str]:
        """The codes right above one."""
        return [p for (p,) in self._all("SELECT parent FROM parent WHERE code = ?", code)]

    def children(self, code: str) -> list[str]:
        """The codes right below one."""
        return [c for (c,) in self._all("SELECT code FROM parent WHERE parent = ?", code)]

    def descendants(self, code: str) -> list[str]:
        """The codes of all that is below one, itself left out."""
        return self._closure("parent", "code", code)

    def ancestors(self, code: str) -> list[str]:
        """The codes of all that is above one, itself left out."""
        return self._closure("code", "parent", code)

    def ingredients(self, code: str) -> frozenset[str]:
        """The codes of the ingredients of a brand, combination or clinical drug."""
        found = self._all("SELECT ingredient FROM ingredient WHERE code = ?", code)
        return frozenset(ingredient for (ingredient,) in found)

    def combination(self, ingredients: Iterable[str]) -> NamedConcept | None:
        """The concept of a combination of exactly these ingredients; None without one."""
        wanted = frozenset(ingredients)
        found = self._concepts(
            "SELECT c.* FROM ingredient i JOIN concept c ON c.code = i.code "
            "WHERE i.ingredient = ? AND c.kind = 'MIN' AND c.active ORDER BY c.code",
            min(wanted, default=""),
        )
        return next((one for one in found if self.ingredients(one.code) == wanted), None)

    def products(self, ingredients: Iterable[str]) -> list[ProductRow]:
        """The active clinical drugs of exactly these ingredients."""
        key = "|".join(sorted(ingredients))
        return [
            ProductRow(code, name, frozenset(key.split("|")), brand)
            for code, name, brand in self._all(
                "SELECT code, name, brand FROM product WHERE ingredients = ? ORDER BY code", key
            )
        ]

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _closure(self, start: str, end: str, code: str) -> list[str]:
        found = self._all(
            f"WITH RECURSIVE met(code) AS (SELECT {end} FROM parent WHERE {start} = ?1 "
            f"UNION SELECT p.{end} FROM parent p JOIN met ON p.{start} = met.code) "
            "SELECT code FROM met WHERE code <> ?1 ORDER BY code",
            code,
        )
        return [one for (one,) in found]

    def _concepts(self, statement: str, *values: str) -> Iterator[NamedConcept]:
        for code, display, kind, active in self._all(statement, *values):
            yield NamedConcept(code, display, kind, bool(active))

    def _all(self, statement: str, *values: str) -> list[tuple[str, ...]]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            # Immutable: the file never changes, so that no lock is needed on a read-only disk.
            uri = f"{self._path.absolute().as_uri()}?mode=ro&immutable=1"
            connection = self._local.connection = sqlite3.connect(uri, uri=True)
        return connection.execute(statement, values).fetchall()
