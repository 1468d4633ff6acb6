"""The terminologies as a scispaCy knowledge base: concepts, their names, their codes.

Each concept is a scispaCy `Entity`; `ClinicalKnowledgeBase` is a `KnowledgeBase` over them, so
that any scispaCy linker or candidate generator works on it unchanged. What scispaCy has no place
for (codes in several systems, a case-sensitive alias, test units) is kept beside it by concept id.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from scispacy.linking_utils import Entity, KnowledgeBase

from nlp.mention import Concept


@dataclass(frozen=True, slots=True)
class UnitRange:
    """A unit (UCUM) and the values that are plausible in it."""

    ucum: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """A concept of ours. `flags`: `c` persists by nature, `a` an event that ends.

    `aliases` match after normalisation, `exact` only in this case. `units` are those of a test,
    the usual one first.
    """

    id: str
    name: str
    category: str
    type: str
    codes: tuple[Concept, ...] = ()
    aliases: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()
    units: tuple[UnitRange, ...] = ()
    score: float = 1.0


class ClinicalKnowledgeBase(KnowledgeBase):
    """scispaCy's `KnowledgeBase` over `terms`; `term(id)` gives the codes back."""

    def __init__(self, terms: Iterable[Term]) -> None:
        self.terms: dict[str, Term] = {term.id: term for term in terms}
        super().__init__(
            Entity(
                concept_id=term.id,
                canonical_name=term.name,
                aliases=[*term.aliases, *term.exact],
                types=[term.category, term.type],
            )
            for term in self.terms.values()
        )

    def term(self, concept_id: str) -> Term | None:
        """The term of that concept id, None when there is none."""
        return self.terms.get(concept_id)
