"""Codes of the releases that were loaded on this machine, as concepts that say which release.

Without a release the shipped tables stand alone. With one, their codes are looked up in it: a code
that it does not have, or has as inactive, is not given any more, and its display and version are
the release's. Names that the tables do not have are looked up in it too, in their exact words.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from nlp.mention import ANATOMY, CONDITION, PROCEDURE, SYMPTOM, TEST, Concept
from nlp.terminology import systems
from schemas.releases import NamedConcept, ReleaseIndex, ReleaseStore

# SNOMED CT's semantic tags that a name of each category may have.
_TAGS = {
    CONDITION: frozenset(("disorder", "finding")),
    SYMPTOM: frozenset(("finding", "disorder")),
    PROCEDURE: frozenset(("procedure", "regime/therapy")),
    TEST: frozenset(("procedure",)),
    ANATOMY: frozenset(("body structure",)),
}
_KEPT_NAMES = 20_000
_RELEASE_SCORE = 0.95


class LoadedCodes:
    """The releases in use, by code system."""

    def __init__(self, indexes: Iterable[ReleaseIndex] = ()) -> None:
        self._indexes = {index.system: index for index in indexes}
        self.named = lru_cache(_KEPT_NAMES)(self._named)

    @classmethod
    def of_folder(cls, folder: str | None) -> "LoadedCodes":
        """The releases in use in a folder; none without a folder. Raises ReleaseError."""
        if folder is None:
            return cls()
        store = ReleaseStore(Path(folder))
        found = (store.in_use(name) for name in ("rxnorm", "snomed", "loinc", "icd10cm"))
        return cls(index for index in found if index is not None)

    def index(self, system: str) -> ReleaseIndex | None:
        """The release in use of a code system, if one is loaded."""
        return self._indexes.get(system)

    @property
    def versions(self) -> tuple[str, ...]:
        """The releases in use, for people."""
        return tuple(sorted(index.title for index in self._indexes.values()))

    def confirmed(self, concepts: Iterable[Concept]) -> tuple[Concept, ...]:
        """The concepts without those that the release of their system does not have (any more)."""
        return tuple(found for concept in concepts if (found := self._confirmed(concept)))

    def concept(self, system: str, found: NamedConcept, score: float) -> Concept:
        """A concept of the loaded release of a system."""
        index = self._indexes[system]
        return Concept(system, found.code, found.display, score, index.title, index.version)

    def _confirmed(self, concept: Concept) -> Concept | None:
        index = self._indexes.get(concept.system)
        if index is None:
            return concept
        found = index.concept(concept.code)
        if found is None or not found.active:
            return None
        return self.concept(concept.system, found, concept.score)

    def _named(self, name: str, category: str) -> tuple[Concept, ...]:
        """The codes of a name that has exactly one meaning in a release, by system."""
        found: list[Concept] = []
        tags = _TAGS.get(category, frozenset())
        snomed = self._indexes.get(systems.SNOMED)
        if snomed is not None:
            hits = [one for one in snomed.named(name) if one.kind in tags]
            if len(hits) == 1:
                found.append(self.concept(systems.SNOMED, hits[0], _RELEASE_SCORE))
        icd10 = self._indexes.get(systems.ICD10CM)
        if icd10 is not None and category in (CONDITION, SYMPTOM):
            hits = [one for one in icd10.named(name) if one.kind == "billable"]
            if len(hits) == 1:
                found.append(self.concept(systems.ICD10CM, hits[0], _RELEASE_SCORE))
        loinc = self._indexes.get(systems.LOINC)
        if loinc is not None and category == TEST:
            hits = loinc.named(name)
            if len(hits) == 1:
                found.append(self.concept(systems.LOINC, hits[0], _RELEASE_SCORE))
        return tuple(found)
