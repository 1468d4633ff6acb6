"""A value set, compiled: which codes are in it, and the list of them.

https://hl7.org/fhir/R4/valueset.html#compositions. The codes of an `include` meet all that it
says; a value set has those of any include, without those of any exclude.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from schemas.terminology.parts import Entry, Part, Prefixed
from schemas.terminology.unknown import Unknown

MAX_ENTRIES = 1_000_000
"""Codes that a list may have: all of SNOMED CT is a third of that."""

Answer = bool | None


@dataclass
class Clause:
    """One include or exclude: a part of a code system, and value sets that a code must be in."""

    part: Part | None
    value_sets: tuple[ValueSet, ...] = ()

    def test(self, system: str | None, code: str) -> Answer:
        """Whether a code is in it; `system` None: of whichever code system."""
        if self.part is None:
            return _all(one.test(system, code) for one in self.value_sets)
        if system is not None and system != self.part.system:
            return False
        own = self.part.test(code)
        if own is False or not self.value_sets:
            return own
        return _all((own, *(one.test(self.part.system, code) for one in self.value_sets)))

    def entries(self) -> Iterable[Entry]:
        """All of its codes. Raises `Unknown`."""
        if self.part is None:
            first, others = self.value_sets[0], self.value_sets[1:]
            source: Iterable[Entry] = first.entries()
        else:
            others = self.value_sets
            try:
                source = self.part.entries()
            except Unknown:
                # A rule says which codes of a value set that can be listed are in it.
                listed = next((one for one in others if one.listable), None)
                if listed is None:
                    raise
                source = [
                    entry
                    for entry in listed.entries()
                    if entry.system == self.part.system and _sure(self.part.test(entry.code), self)
                ]
        return [
            entry
            for entry in source
            if all(_sure(one.test(entry.system, entry.code), one) for one in others)
        ]

    def entry(self, system: str | None, code: str) -> Entry | None:
        """What is said of a code in it, as far as anything is."""
        if self.part is None:
            found = (one.entry(system, code) for one in self.value_sets)
            return next((entry for entry in found if entry is not None), None)
        return self.part.entry(code) if system in (None, self.part.system) else None

    def reasons(self) -> Iterable[str]:
        """Why it cannot tell, as far as it cannot."""
        if self.part is not None and self.part.reason:
            yield self.part.reason
        for one in self.value_sets:
            yield from one.reasons()

    @property
    def reason(self) -> str:
        """Why it cannot tell."""
        return next(iter(self.reasons()), "")

    @property
    def open_reason(self) -> str:
        """Why there may be codes that it does not list."""
        own = getattr(self.part, "open_reason", "")
        return own or next((one.open_reason for one in self.value_sets if one.open_reason), "")


@dataclass
class ValueSet:
    """A compiled value set. `resource` is what it was made of, not to be changed.

    `unknown` says why nothing can be told of it, when that is so. `worked_out`: what others made of
    its codes, by their own keys, kept as long as it is.
    """

    resource: dict[str, Any]
    includes: tuple[Clause, ...] = ()
    excludes: tuple[Clause, ...] = ()
    without_inactive: bool = False
    unknown: str = ""
    worked_out: dict[Any, Any] = field(default_factory=dict, repr=False)
    _entries: list[Entry] | None = field(default=None, repr=False)
    _tests: dict[str | None, frozenset[str]] | None = field(default=None, repr=False)

    def test(self, system: str | None, code: str) -> Answer:
        """Whether a code is in it; None where that cannot be told. `system` None: of any."""
        if self._entries is not None and not self.open_reason:
            return code in self._by_system().get(system, frozenset()) or self._test(system, code)
        return self._test(system, code)

    def _test(self, system: str | None, code: str) -> Answer:
        if self.unknown:
            return None
        found = _any(clause.test(system, code) for clause in self.includes)
        if found is False:
            return False
        left_out = _any(clause.test(system, code) for clause in self.excludes)
        if left_out is True:
            return False
        if found is True and self.without_inactive and self._is_inactive(system, code):
            return False
        return None if left_out is None else found

    def entries(self) -> list[Entry]:
        """All of its codes, each once, in the order of the includes.

        Raises `Unknown` where they cannot be listed. Where `open_reason` says so there are others.
        """
        if self._entries is None:
            self._entries = self._listed()
        return self._entries

    @property
    def kept(self) -> list[Entry]:
        """The entries that are kept in memory by now."""
        return self._entries or []

    @property
    def listable(self) -> bool:
        """Whether `entries` gives a list that is complete."""
        try:
            self.entries()
        except Unknown:
            return False
        return not self.open_reason

    @property
    def open_reason(self) -> str:
        """Why there may be codes that `entries` does not give; empty where it gives all."""
        clauses = (*self.includes, *self.excludes)
        return next((clause.open_reason for clause in clauses if clause.open_reason), "")

    def reasons(self) -> Iterable[str]:
        """Why it cannot tell, as far as it cannot."""
        if self.unknown:
            yield self.unknown
        for clause in (*self.includes, *self.excludes):
            yield from clause.reasons()

    def rules(self) -> tuple[list[Entry], list[Prefixed]]:
        """Its codes as a list and prefixes, which together are all of them. Raises `Unknown`."""
        if self.open_reason:
            raise Unknown(self.open_reason)
        try:
            return self.entries(), []
        except Unknown:
            if self.excludes or self.without_inactive:
                raise
        listed: list[Entry] = []
        prefixes: list[Prefixed] = []
        for clause in self.includes:
            prefixed = getattr(clause.part, "prefixed", None)
            if prefixed is not None and not clause.value_sets:
                prefixes.append(prefixed)
            elif clause.part is None and len(clause.value_sets) == 1:
                more, others = clause.value_sets[0].rules()
                listed += more
                prefixes += others
            else:
                listed += clause.entries()
        return listed, prefixes

    def entry(self, system: str | None, code: str) -> Entry | None:
        """What is said of a code in it, as far as anything is."""
        for clause in self.includes:
            found = clause.entry(system, code)
            if found is not None:
                return found
        return None

    def _listed(self) -> list[Entry]:
        if self.unknown:
            raise Unknown(self.unknown)
        found: dict[tuple[str, str], Entry] = {}
        for clause in self.includes:
            for entry in clause.entries():
                found.setdefault((entry.system, entry.code), entry)
            if len(found) > MAX_ENTRIES:
                raise Unknown(f"it has over {MAX_ENTRIES:,} codes")
        if self.without_inactive:
            found = {key: entry for key, entry in found.items() if not entry.inactive}
        for clause in self.excludes:
            found = {
                key: entry
                for key, entry in found.items()
                if not _sure(clause.test(entry.system, entry.code), clause)
            }
        return list(found.values())

    def _is_inactive(self, system: str | None, code: str) -> bool:
        entry = self.entry(system, code)
        return entry is not None and entry.inactive

    def _by_system(self) -> dict[str | None, frozenset[str]]:
        if self._tests is None:
            found: dict[str | None, set[str]] = {None: set()}
            for entry in self._entries or ():
                found.setdefault(entry.system, set()).add(entry.code)
                found[None].add(entry.code)
            self._tests = {system: frozenset(codes) for system, codes in found.items()}
        return self._tests


def _sure(answer: Answer, source: Clause | ValueSet) -> bool:
    if answer is None:
        raise Unknown(next(iter(source.reasons()), "it cannot be told which codes are in it"))
    return answer


def _any(answers: Iterable[Answer]) -> Answer:
    found: Answer = False
    for answer in answers:
        if answer is True:
            return True
        if answer is None:
            found = None
    return found


def _all(answers: Iterable[Answer]) -> Answer:
    found: Answer = True
    for answer in answers:
        if answer is False:
            return False
        if answer is None:
            found = None
    return found
