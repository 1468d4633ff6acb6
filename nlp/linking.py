"""Linking: from a concept of the knowledge base to its codes.

Only exact names are linked (the dictionary's, or through an abbreviation that the note defines).
There is no fuzzy match: `Coumadin` is near `Flumadine`, and a wrong code is worse than none.
"""

from spacy.language import Language
from spacy.tokens import Doc, Span

from nlp.terminology import knowledge_base


class Linking:
    """Sets `span._.concepts`, `span._.type` and `span._.flags` from the scispaCy knowledge base."""

    def __init__(self) -> None:
        self._kb = knowledge_base()

    def __call__(self, doc: Doc) -> Doc:
        """Give each linked entity the codes of its concept."""
        for ent in doc.ents:
            entity = self._kb.cui_to_entity.get(ent.kb_id_)
            if entity is None:
                continue
            term = self._kb.terms[entity.concept_id]
            ent._.concepts = term.codes
            ent._.type = term.type
            ent._.flags = term.flags
        return doc


@Language.factory("linking", requires=["doc.ents"])
def create_linking(nlp: Language, name: str) -> Linking:
    """The factory that spaCy calls."""
    return Linking()


Span.set_extension("concepts", default=(), force=True)
Span.set_extension("type", default="", force=True)
Span.set_extension("flags", default=frozenset(), force=True)
