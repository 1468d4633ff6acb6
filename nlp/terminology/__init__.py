"""What the pipeline knows by name: conditions, symptoms, drugs, tests, procedures, body sites.

Order is precedence: a name that two tables have belongs to the first. The curated tables come
before the generated ones, because each of their codes was looked at by a person.
"""

from functools import cache

from nlp.terminology import curated, lexicon
from nlp.terminology.knowledge_base import ClinicalKnowledgeBase, Term, UnitRange

__all__ = ["ClinicalKnowledgeBase", "Term", "UnitRange", "knowledge_base"]


@cache
def knowledge_base() -> ClinicalKnowledgeBase:
    """All shipped terms, read once a process."""
    titles = lexicon.icd10cm_titles()
    terms: dict[str, Term] = {}
    for source in (
        curated.medications(),
        curated.conditions(titles),
        curated.symptoms(titles),
        curated.tests(),
        curated.procedures(),
        curated.anatomy(),
        curated.no_known_allergies(),
        lexicon.diseases(titles),
        lexicon.drug_names(),
    ):
        for term in source:
            terms.setdefault(term.id, term)
    return ClinicalKnowledgeBase(terms.values())
