"""What a test was made on where the note says so: urine, spinal fluid, arterial or venous blood.

The dictionary's codes are those of blood. A test whose specimen is another gets that one's code
from `rules/specimen_codes.tsv`, or none: sodium in urine is not the sodium of blood.
"""

# ruff: noqa: E501 - a regular expression is read better unbroken

import re
from functools import cache

from nlp.mention import Concept
from nlp.rules import rows
from nlp.terminology import systems

URINE = "urine"
_CUES = {
    "urine": re.compile(r"\b(?:ua|u/a|urinalysis|urine|urinary|dipstick|spot\s+urine|udip|specific\s+gravity|sp\.?\s?gr)\b", re.IGNORECASE),
    "csf": re.compile(r"\b(?:csf|cerebrospinal|spinal\s+fluid|lumbar\s+puncture)\b", re.IGNORECASE),
    "fluid": re.compile(
        r"\b(?:pleural|peritoneal|ascitic|synovial|joint|pericardial|amniotic|drain|body)\s+(?:fluid|effusion)|\b(?:paracentesis|thoracentesis|arthrocentesis)\b|\bstool\b|\bfecal\b|\bsweat\b|\bsaliva\b",
        re.IGNORECASE,
    ),
    "arterial": re.compile(r"\b(?:ABGs?|arterial)\b", re.IGNORECASE),
    "venous": re.compile(r"\b(?:VBGs?|venous\s+(?:blood\s+)?gas)\b", re.IGNORECASE),
    "blood": re.compile(
        r"\b(?:serum|plasma|blood\s+work|CBC|BMP|CMP|chem(?:istry|-?7|-?10|\s?panel)?|labs?|laboratory|lytes|electrolytes|LFTs?|coags?|hematology)\b",
        re.IGNORECASE,
    ),
}  # fmt: skip
_REACH = 240


@cache
def _codes() -> dict[tuple[str, str, str], Concept]:
    return {
        (specimen, test, scale): Concept(systems.LOINC, loinc, display, 1.0, systems.LOINC_CURATED)
        for specimen, test, loinc, scale, display in rows("specimen_codes.tsv", 5)
    }


# Tests of the dictionary that are also made on fluids for which no code is given here.
_ON_FLUIDS = (
    "lactate dehydrogenase", "albumin level", "amylase", "lipase", "chloride", "calcium level",
    "cortisol", "uric acid", "hematocrit", "neutrophils", "lymphocytes", "monocytes", "eosinophils",
    "urea nitrogen", "lactate", "cholesterol, total", "triglycerides", "magnesium", "phosphorus",
    "epithelial cells", "ammonia",
)  # fmt: skip


@cache
def any_specimen() -> frozenset[str]:
    """The tests that are made on more than blood."""
    return frozenset(_ON_FLUIDS) | {test for _, test, _ in _codes()}


def specimen_before(text: str, limit: int, begin: int, end: int) -> str | None:
    """The specimen that the sentence names last before (or in) the test at `[begin, end)`."""
    window = text[max(limit, begin - _REACH) : end]
    best, found = -1, None
    for name, cue in _CUES.items():
        for match in cue.finditer(window):
            if match.start() > best:
                best, found = match.start(), name
    return None if found == "blood" else found


def specimen_code(specimen: str, test: str, scale: str) -> Concept | None:
    """The LOINC code of a test (its name in the dictionary) on a specimen, None when not known.

    `scale` is LOINC's: `Qn` for a number, `Ord` for a result in words.
    """
    return _codes().get((specimen, test, scale))
