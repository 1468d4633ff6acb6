"""Which names of the drug dictionary are kept: names a prescriber writes, no everyday words.

The dictionary (PyPI `drug-named-entity-recognition`, MIT) mixes medicines with proteins, reagents
and drug classes, and many of its identifiers are wrong. Only names are taken, and only those that
a patient-information site lists, or that carry an international non-proprietary name's stem.
"""

import re
from typing import Any

from nlp.terminology.curated import words

_SHAPE = re.compile(r"[a-z][a-z\-]{4,30}(?: [a-z][a-z\-]{2,20})?")
_STEMS = re.compile(
    r"(?:mab|tinib|ciclib|parib|rafenib|zomib|lisib|pril|sartan|statin|olol|dipine|prazole|tidine"
    r"|gliptin|gliflozin|glitazone|glutide|cillin|cycline|floxacin|mycin|oxacin|conazole|fungin"
    r"|vir|triptan|setron|azepam|azolam|barbital|caine|coxib|profen|fenac|xaban|gatran|parin"
    r"|grel|afil|dronate|terol|lukast|oxetine|ipramine|triptyline|idone|peridol|azine|platin"
    r"|rubicin|taxel|bicin|trexate|trexed|tecan|mustine|vastatin|thiazide|semide|onide|asone"
    r"|olone|olimus|cept|stim|sulfan|nazole|bactam|penem|relin|relix|gepant|orexant)$"
)
_REFUSED = words("not_drugs.txt")


def keep_drug_name(name: str) -> bool:
    """Whether the shape and the stoplist let `name` be matched in running text."""
    if not _SHAPE.fullmatch(name):
        return False
    return not any(word in _REFUSED for word in name.split())


def drug_names(dictionary: dict[str, Any]) -> list[str]:
    """The names to ship out of the wheel's dictionary, sorted."""
    about = dictionary["drug_canonical_to_data"]
    kept: set[str] = set()
    for variant, canonicals in dictionary["drug_variant_to_canonical"].items():
        known = any(
            {"medline_plus_id", "nhs_url"} & about.get(canonical, {}).keys()
            for canonical in canonicals
        )
        stem = " " not in variant and _STEMS.search(variant) is not None
        is_name = variant in dictionary["drug_variant_to_variant_data"]
        if (known or (stem and is_name)) and keep_drug_name(variant):
            kept.add(variant)
    return sorted(kept)
