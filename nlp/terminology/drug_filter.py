"""Which names of the drug dictionary are kept: names a prescriber writes, no everyday words.

The dictionary (PyPI `drug-named-entity-recognition`, MIT) mixes medicines with proteins, reagents
and drug classes, and many of its identifiers are wrong. Only names are taken, and only those that
a patient-information site lists, or that carry an international non-proprietary name's stem.
"""

import re
from typing import Any

_SHAPE = re.compile(r"[a-z][a-z\-]{4,30}(?: [a-z][a-z\-]{2,20})?")
_STEMS = re.compile(
    r"(?:mab|tinib|ciclib|parib|rafenib|zomib|lisib|pril|sartan|statin|olol|dipine|prazole|tidine"
    r"|gliptin|gliflozin|glitazone|glutide|cillin|cycline|floxacin|mycin|oxacin|conazole|fungin"
    r"|vir|triptan|setron|azepam|azolam|barbital|caine|coxib|profen|fenac|xaban|gatran|parin"
    r"|grel|afil|dronate|terol|lukast|oxetine|ipramine|triptyline|idone|peridol|azine|platin"
    r"|rubicin|taxel|bicin|trexate|trexed|tecan|mustine|vastatin|thiazide|semide|onide|asone"
    r"|olone|olimus|cept|stim|sulfan|nazole|bactam|penem|relin|relix|gepant|orexant)$"
)
# Everyday or clinical words, foods and non-drugs that the dictionary also lists.
_REFUSED = frozenset(
    """
    aerosol air alcohol alert alive amber anal annual antibody appear aspire ativan-free balance
    balsam banana barrier basis beer bene bio blood bone brain bread bright butter calm cannabis
    carbon caution charcoal chill clear climate clove coal cocoa coffee cold comfort common control
    copper corn cotton cream crystal daily defense delay diet dioxide donor dragon dream drops
    drug duration earth easy egg elements enable endure energy enhance essential estimate ethanol
    exact factor fast fiber fibre fire fish flow flu fluid focus force formal formula fresh gas
    ginger glass glucose glycerin gold golden grape grass green guard health heart herb honey house
    human hydrogen ideal image immune impact increase iron lemon life light lime lipid liver lotion
    magnet marvel matrix meal medicine menthol mercury milk mineral mint mist mouth natural nature
    nerve nickel night nitrogen normal nutmeg oats ocean offset olive onion orange organ oxygen
    patch peach peanut pepper peppermint phase plan plus polish pollen potato power prime prolong
    protein protect pure rapid ready regular relax relief remedy rescue resolve rice root rose
    safe salt sand seal secure select serum shield silk silver simple skin sleep smooth soap soda
    soft solution soy spike spirit spray spring standard start starch steel stone strong sugar
    sulfur support surge talc tea tears thyme tin tobacco tomato total touch travel trust ultra
    unique vaccine vanilla venom vinegar vision vital vitality vitamin vitamins water wax wheat
    white wine wood yeast zinc urea sodium calcium potassium magnesium phosphate chloride fluoride
    cholesterol creatinine bilirubin albumin hemoglobin insulin-like antigen antigens cortisol
    urine stool saliva plasma platelets histamine collagen melatonin-free lactate ammonia uric
    testis sperm placenta cocaine heroin marijuana amphetamines caffeine nicotine fibrinogen
    thrombin troponin ferritin tryptase creatine lipase amylase prolactin estrogen estrogens
    androgen androgens hormone hormones peptides steroids antidote sedative sedatives vaccines
    allergens contrast barium gadolinium catgut dressings gelatin silicone device devices condoms
    sunscreen sunscreens compress catheter laxative laxatives antacid antacids analgesic analgesics
    narcotic narcotics stimulant stimulants hypnotic hypnotics acid acids pollens radium radon lead
    arsenic aluminum aluminium titanium chromium cobalt iodine sulfate nitrate nitrates nitrite
    adenosine-free triad bronchial cardiac chest orabase vivid reliance virtue aspirate ovation
    generic generics biomet luminal tiral tirals advocate provide provided triumph fortify accurate concentrate equate assure compound
    """.split()
)


def keep_drug_name(name: str) -> bool:
    """Whether the shape and the stoplist let `name` be matched in running text."""
    if not _SHAPE.fullmatch(name):
        return False
    words = name.split()
    return not any(word in _REFUSED for word in words)


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
