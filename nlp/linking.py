"""Linking: from what was found in the text to codes, or to none where none is certain.

What the dictionary found has the codes of its term. What only a model found is linked by its name
(`name_linking`), a drug by its own rules (`drug_linking`), an abbreviation by what the note says it
stands for. A mention without a code keeps its words: a wrong code is worse than none.
"""

from functools import cached_property

from spacy.language import Language
from spacy.tokens import Doc, Span

from nlp.abbreviations import long_forms
from nlp.drug_linking import DrugLinker
from nlp.loaded_codes import LoadedCodes
from nlp.mention import ANATOMY, CONDITION, MEDICATION, PROCEDURE, SYMPTOM, TEST, Concept
from nlp.name_linking import NOTHING, Linked, NameLinker
from nlp.senses import senses
from nlp.terminology import ClinicalKnowledgeBase, Term, knowledge_base, lexicon
from nlp.terminology.starter_drugs import sole_drugs, starter_products

# Enough of a line for a strength and a form.
_AFTER_CHARS = 80
_KINDS = {
    CONDITION: (CONDITION, SYMPTOM),
    SYMPTOM: (CONDITION, SYMPTOM),
    PROCEDURE: (PROCEDURE,),
    TEST: (TEST,),
    ANATOMY: (ANATOMY,),
}


class Linker:
    """Names to codes over a knowledge base and the releases that are loaded. Made once a process.

    What links names that are not in the dictionary is made when the first one comes.
    """

    def __init__(self, kb: ClinicalKnowledgeBase, loaded: LoadedCodes | None = None) -> None:
        self.loaded = loaded or LoadedCodes()
        self._kb = kb
        self._linkers: dict[tuple[str, ...], NameLinker] = {}

    @cached_property
    def drugs(self) -> DrugLinker:
        """Links drugs."""
        terms = [term for term in self._kb.terms.values() if term.category == MEDICATION]
        return DrugLinker(terms, starter_products(), sole_drugs(), self.loaded)

    def names(self, category: str) -> NameLinker:
        """Links names of a category."""
        kinds = _KINDS[category]
        linker = self._linkers.get(kinds)
        if linker is None:
            terms = (term for term in self._kb.terms.values() if term.category in kinds)
            titles = lexicon.icd10cm_names() if CONDITION in kinds else None
            linker = self._linkers[kinds] = NameLinker(terms, kinds[0], self.loaded, titles)
        return linker

    def term(self, concept_id: str) -> Term | None:
        """The dictionary's term of that id."""
        return self._kb.terms.get(concept_id)

    def link(self, name: str, category: str) -> Linked:
        """What a name that is not in the dictionary means."""
        if name in senses():
            # Its meanings were weighed where it stands, and none was certain.
            return NOTHING
        if category == MEDICATION:
            return Linked(self.drugs.link(name, None, ""))
        return self.names(category).link(name)


class Linking:
    """Sets `span._.concepts`, `span._.type` and `span._.flags`."""

    def __init__(self, linker: Linker) -> None:
        self._linker = linker

    def __call__(self, doc: Doc) -> Doc:
        """Give each entity its codes."""
        defined = long_forms(doc)
        text = doc.text  # spaCy writes it anew each time it is asked for.
        for ent in doc.ents:
            term = self._linker.term(ent.kb_id_)
            if ent.label_ == MEDICATION:
                ent._.concepts = self._drug(text, ent, term)
            elif ent.label_ in _KINDS:
                concepts = self._linker.loaded.confirmed(term.codes) if term is not None else ()
                if not concepts:
                    long_form = defined.get(ent.text)
                    name = ent.text if long_form is None else long_form.text
                    linked = self._linker.link(name, ent.label_)
                    concepts = linked.concepts
                    if term is None and linked.term and linked.term.category == ent.label_:
                        term = linked.term
                ent._.concepts = concepts
            if term is not None:
                ent._.type = term.type
                ent._.flags = term.flags
        return doc

    def _drug(self, text: str, ent: Span, term: Term | None) -> tuple[Concept, ...]:
        after = text[ent.end_char : ent.end_char + _AFTER_CHARS].partition("\n")[0]
        return self._linker.drugs.link(ent.text, term, after)


def _linker(terminology: str) -> Linker:
    return Linker(knowledge_base(), LoadedCodes.of_folder(terminology or None))


@Language.factory("linking", requires=["doc.ents"], default_config={"terminology": ""})
def create_linking(nlp: Language, name: str, terminology: str) -> Linking:
    """The factory that spaCy calls; `terminology` is a folder of loaded releases, or ``.

    Raises `schemas.releases.ReleaseError` when a release in use cannot be read.
    """
    return Linking(_linker(terminology))


Span.set_extension("concepts", default=(), force=True)
Span.set_extension("type", default="", force=True)
Span.set_extension("flags", default=frozenset(), force=True)
