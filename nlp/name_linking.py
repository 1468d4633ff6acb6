"""Names that the dictionary did not find in the text, as a model finds them, to codes or to none.

Tried in this order, the first that is certain decides: the name itself, or its words in another
order; its official title in ICD-10-CM; the releases that are loaded; all of that without words
that say how bad, which side or since when; and a slip of the pen in a long word. Where two concepts
are as near, or only part of the name is known, there is no code: `renal failure` is not `acute
renal failure`, and a wrong code is worse than none.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from nlp.candidates import Candidate, CandidateGenerator, name_key
from nlp.loaded_codes import LoadedCodes
from nlp.mention import CONDITION, SYMPTOM, Concept
from nlp.misspellings import MIN_LETTERS, Misspellings
from nlp.terminology import Term

# How sure a code is by how the name was found, times the code's own score.
_WITHOUT_QUALIFIER = 0.9
_SLIP = 0.85
_QUALIFIERS = frozenset(
    (
        "mild", "moderate", "severe", "marked", "significant", "worsening", "worsened", "stable",
        "known", "new", "ongoing", "current", "persistent", "intermittent", "occasional", "some",
        "left", "right", "bilateral", "sided", "extensive", "prior", "previous", "underlying",
        "possible", "probable", "suspected", "likely", "presumed", "minimal", "slight", "any",
        "progressive", "improving", "resolving", "longstanding", "the", "a", "an", "his", "her",
    )
)  # fmt: skip
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SIDE = re.compile(r"\b(?:left|right|bilateral)\b", re.IGNORECASE)
_MAX_NAME_CHARS = 120


@dataclass(frozen=True, slots=True)
class Linked:
    """What a name was taken for: its codes, and the shipped term where it was one."""

    concepts: tuple[Concept, ...]
    term: Term | None = None


NOTHING = Linked(())


class NameLinker:
    """Links names of one kind (conditions and symptoms; procedures; tests; body sites)."""

    def __init__(
        self,
        terms: Iterable[Term],
        category: str,
        loaded: LoadedCodes,
        titles: Mapping[str, Concept] | None = None,
    ) -> None:
        """`titles`: `name_key` of an official title → its concept."""
        self._terms = {term.id: term for term in terms}
        self._category = category
        self._loaded = loaded
        self._titles = titles or {}
        self._slips = category in (CONDITION, SYMPTOM)
        self._generator = CandidateGenerator(
            (
                (term.id, name)
                for term in self._terms.values()
                for name in (term.name, *term.aliases)
            ),
            fuzzy=self._slips,
        )
        self._words = Misspellings(
            {w for key in self._generator.names() for w in key.split(" ")} if self._slips else ()
        )
        self._kept: dict[str, Linked] = {}

    def candidates(self, name: str, k: int = 5) -> tuple[Candidate, ...]:
        """The shipped terms that a name may mean, ranked, however unlike."""
        return self._generator.candidates(name, k)

    def link(self, name: str) -> Linked:
        """The codes of a name, `NOTHING` where none is certain."""
        found = self._kept.get(name)
        if found is None:
            if len(self._kept) >= 50_000:
                self._kept.clear()
            found = self._kept[name] = self._link(name)
        return found

    def _link(self, name: str) -> Linked:
        if len(name) > _MAX_NAME_CHARS:
            return NOTHING
        found = self._exact(name)
        if found is None:
            plain = _without_qualifiers(name)
            found = self._exact(plain) if plain and plain != name else None
            if found is not None:
                found = _weighed(_sided(found, name), _WITHOUT_QUALIFIER)
            if found is None and self._slips:
                found = self._slip(plain or name)
        return found or NOTHING

    def _exact(self, name: str) -> Linked | None:
        """By the name itself; None where nobody knows it, no codes where it is ambiguous."""
        ranked = self._generator.exact(name)
        known: Term | None = None
        if ranked:
            terms = [self._terms[one.concept_id] for one in ranked]
            known = terms[0]
            coded = next((term for term in terms if term.codes), None)
            if coded is not None:
                if coded is not known and known.score == 1.0:
                    # A person looked for a code of the first and found none that is certain.
                    return Linked((), known)
                found = Linked(self._loaded.confirmed(coded.codes), coded)
                return _weighed(found, ranked[0].score)
        title = self._titles.get(name_key(name))
        concepts = self._loaded.confirmed((title,)) if title is not None else ()
        concepts = concepts or self._loaded.named(name, self._category)
        return Linked(concepts, known) if concepts or known is not None else None

    def _slip(self, name: str) -> Linked | None:
        """By a name that differs in one letter of one long word that is no word of its own."""
        words = name_key(name).split(" ")
        odd = [w for w in words if len(w) >= MIN_LETTERS and w not in self._words]
        if len(odd) != 1 or any(w not in self._words for w in words if w not in odd):
            return None
        near = self._words.near(odd[0])
        found: dict[tuple[str, ...], Linked] = {}
        for right in near:
            corrected = " ".join(right if word == odd[0] else word for word in words)
            exact = self._exact(corrected)
            if exact is not None and exact.concepts:
                found[tuple(c.code for c in exact.concepts)] = exact
        if len(found) != 1:
            return None
        (only,) = found.values()
        return _weighed(only, _SLIP)


def _sided(found: Linked, name: str) -> Linked:
    """Without codes of an unspecified side, where the note says which."""
    if not _SIDE.search(name):
        return found
    kept = tuple(c for c in found.concepts if "unspecified" not in c.display.lower())
    return Linked(kept, found.term)


def _weighed(found: Linked, weight: float) -> Linked:
    if weight == 1.0:
        return found
    return Linked(
        tuple(replace(c, score=round(c.score * weight, 4)) for c in found.concepts), found.term
    )


def _without_qualifiers(name: str) -> str:
    """The name without words at its begin that say how bad, which side, how certain."""
    words = _WORD.findall(name)
    while len(words) > 1 and all(
        part in _QUALIFIERS for part in words[0].lower().replace("’", "'").split("-")
    ):
        words.pop(0)
    return " ".join(words)
