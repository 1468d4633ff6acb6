"""The route that a drug's form implies where none is written: forms that go one way only.

`2 puffs` implies none (a nasal spray is puffed too). Plasters against pain act in the skin beneath
them, so a patch of lidocaine, or of a drug that is not named, implies no transdermal route.
"""

import re

_PATCH = re.compile(r"\bpatch(?:es)?\b", re.IGNORECASE)
_LOCAL = re.compile(
    r"\b(?:lidocaine|lidoderm|capsaicin|menthol|diclofenac|salicylate)\b", re.IGNORECASE
)
_FORMS = tuple(
    (re.compile(rf"\b(?:{words})\b", re.IGNORECASE), {"code": code, "display": display})
    for words, code, display in (
        ("nasal", "46713006", "Nasal route"),
        ("eye (?:drops?|gtts?)|ophthalmic", "54485002", "Ophthalmic route"),
        ("ear (?:drops?|gtts?)|otic", "10547007", "Otic route"),
        ("inhalers?|mdi|hfa|diskus|respimat|nebs?|nebuli[sz]ers?|ellipta|metered[- ]dose",
         "447694001", "Respiratory tract route"),
        ("oral|chewable", "26643006", "Oral route"),
    )
)  # fmt: skip


def route_of_form(drug: str, forms: str) -> dict[str, str] | None:
    """The SNOMED CT route of `forms` (words of the instruction) of a drug, None for several.

    `drug` is the drug's name as written, empty where an instruction does not say whose it is.
    """
    words = f"{drug} {forms}"
    for pattern, route in _FORMS:
        if pattern.search(words):
            return route
    if drug and _PATCH.search(words) and not _LOCAL.search(drug):
        return {"code": "45890007", "display": "Transdermal route"}
    return None
