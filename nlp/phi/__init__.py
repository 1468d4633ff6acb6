"""Protected health information in notes, by the Safe Harbor list of 45 CFR 164.514(b)(2).

`find` says where it stands, `deidentify` replaces it. Recall before precision: what may be a name
or a number of the patient's is taken. No finder is perfect: the text that `deidentify` gives is
for a person to judge, and is not by itself de-identified in the sense of the law.
"""

from nlp.phi.deidentification import deidentify
from nlp.phi.finding import find
from nlp.phi.known import Known, known_from
from nlp.phi.span import CATEGORIES, PhiSpan

__all__ = ["CATEGORIES", "Known", "PhiSpan", "deidentify", "find", "known_from"]
