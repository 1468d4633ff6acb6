"""The parts that value sets are put together of: codes of one code system, listed or not.

Each part answers two questions: is a code in it (yes, no, or cannot be told), and which codes are
(all of them, or the refusal to say).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from schemas.terminology.code_system import CodeSystem, Concept
from schemas.terminology.elements import Json
from schemas.terminology.unknown import Unknown


@dataclass(frozen=True, slots=True)
class Entry:
    """A code of a value set, with what the value set and the code system say of it.

    `own_display` and `own_designations` are those of the value set, which come first.
    """

    system: str
    code: str
    version: str | None = None
    own_display: str | None = None
    own_designations: tuple[Json, ...] = ()
    source: CodeSystem | None = None
    concept: Concept | None = None
    said_abstract: bool = False
    said_inactive: bool = False

    @property
    def display(self) -> str | None:
        """The words for it, where anyone gives some."""
        if self.own_display is not None or self.concept is None:
            return self.own_display
        return self.concept.display

    @property
    def designations(self) -> list[Json]:
        """Other words for it."""
        return [*self.own_designations, *(self.concept.designations if self.concept else ())]

    @property
    def abstract(self) -> bool:
        """Whether it groups others and is not to be chosen."""
        return self.said_abstract or (
            self.source is not None
            and self.concept is not None
            and self.source.is_abstract(self.concept)
        )

    @property
    def inactive(self) -> bool:
        """Whether it is not to be used any more."""
        return self.said_inactive or (
            self.source is not None
            and self.concept is not None
            and self.source.is_inactive(self.concept)
        )


@dataclass(frozen=True, slots=True)
class Prefixed:
    """All codes of a system that begin with a text, whichever there are; `but` that text itself."""

    system: str
    prefix: str
    but: bool = False

    def holds(self, code: str) -> bool:
        """Whether a code begins so."""
        return code.startswith(self.prefix) and not (self.but and code == self.prefix)


def of_concept(source: CodeSystem, concept: Concept) -> Entry:
    """A concept of a code system as it is there."""
    return Entry(source.url, concept.code, source.version, source=source, concept=concept)


class Part(Protocol):
    """Codes of one code system."""

    @property
    def system(self) -> str:
        """The URL of the code system."""

    def test(self, code: str) -> bool | None:
        """Whether a code is in it; None where that cannot be told, for the `reason`."""

    def entries(self) -> Iterable[Entry]:
        """All of them. Raises `Unknown` where they cannot be listed."""

    def entry(self, code: str) -> Entry | None:
        """What is said of a code, where anything is."""

    @property
    def reason(self) -> str:
        """Why `test` cannot tell, or `entries` cannot list."""


@dataclass
class Listed:
    """Codes that are listed; `open_reason`: why there may be others, empty when there are none."""

    system: str
    codes: Mapping[str, Entry]
    folds: bool = False
    open_reason: str = ""
    _folded: dict[str, str] | None = field(default=None, repr=False)

    @property
    def reason(self) -> str:
        """Why there may be others."""
        return self.open_reason

    def test(self, code: str) -> bool | None:
        """Whether a code is in it."""
        if code in self.codes or (self.folds and self.entry(code) is not None):
            return True
        return None if self.open_reason else False

    def entries(self) -> Iterable[Entry]:
        """Those that are listed; `open_reason` tells whether that is all."""
        return self.codes.values()

    def entry(self, code: str) -> Entry | None:
        """What is said of a code."""
        found = self.codes.get(code)
        if found is None and self.folds:
            if self._folded is None:
                self._folded = {known.casefold(): known for known in self.codes}
            found = self.codes.get(self._folded.get(code.casefold(), ""))
        return found


@dataclass(frozen=True, slots=True)
class Whole:
    """All concepts of a code system; `open_reason` as in `Listed`."""

    source: CodeSystem
    open_reason: str = ""

    @property
    def system(self) -> str:
        """The code system's URL."""
        return self.source.url

    @property
    def reason(self) -> str:
        """Why there may be others."""
        return self.open_reason

    def test(self, code: str) -> bool | None:
        """Whether a code is in it."""
        if self.source.find(code) is not None:
            return True
        return None if self.open_reason else False

    def entries(self) -> Iterable[Entry]:
        """Those that are known."""
        return (of_concept(self.source, one) for one in self.source.concepts.values())

    def entry(self, code: str) -> Entry | None:
        """What is said of a code."""
        found = self.source.find(code)
        return of_concept(self.source, found) if found is not None else None


@dataclass(frozen=True, slots=True)
class Described:
    """Codes known by a rule, too many (or unknown) to be listed; `prefixed` where that is it."""

    system: str
    rule: Callable[[str], bool | None]
    reason: str
    prefixed: Prefixed | None = None

    def test(self, code: str) -> bool | None:
        """Whether a code is in it."""
        return self.rule(code)

    def entries(self) -> Iterable[Entry]:
        """Refused."""
        raise Unknown(self.reason)

    def entry(self, code: str) -> Entry | None:
        """Nothing is said of any."""
        return None


@dataclass(frozen=True, slots=True)
class NotKnown:
    """Codes of which nothing can be told."""

    system: str
    reason: str

    def test(self, code: str) -> bool | None:
        """Cannot be told."""
        return None

    def entries(self) -> Iterable[Entry]:
        """Refused."""
        raise Unknown(self.reason)

    def entry(self, code: str) -> Entry | None:
        """Nothing is said of any."""
        return None
