"""Instructions for taking a drug (sigs): words in, FHIR R4 `Dosage` out.

`parse("take 1 tablet by mouth twice daily with food")` reads an instruction by itself; in a note
the pipeline's `attributes` component finds each drug's. The grammar goes from tokens (`tokens`)
over parts (`reading`: numbers, amounts, frequencies, limits, phrases of `rules/sig_phrases.tsv`)
and clauses (`clauses`) to `Dosage` (`fhir`). What is not understood is never guessed: `text` has
the words.
"""

from typing import Any

from nlp.dosage.clauses import Clause, Instruction, instruction
from nlp.dosage.fhir import dosages
from nlp.dosage.implied_route import route_of_form
from nlp.dosage.parts import FORM, Part
from nlp.dosage.reading import read

__all__ = ["Clause", "Instruction", "Part", "dosages", "instruction", "parse", "read"]


# Longer than any instruction; such a text is kept as words, so that reading stays quick.
_MAX_SIG_CHARS = 4000


def parse(text: str) -> list[dict[str, Any]]:
    """The FHIR R4 `Dosage` entries of an instruction, one per clause; [] for blank text.

    Every entry has the whole instruction in `text`, numbers are `Decimal`. Clauses that hold at the
    same time (`1 in the morning and 2 at bedtime`) have one `sequence`, those that follow one
    another (`then`) a rising one. What the drug is for stands in `additionalInstruction`.
    """
    words = " ".join(text.split())
    if not words:
        return []
    if len(words) > _MAX_SIG_CHARS:
        return [{"text": words}]
    said = instruction(text, read(text, 0, len(text), bare=True))
    found = said.clauses or [Clause()]
    found[0].notes.extend(f"for {indication}" for indication in said.indications)
    forms = " ".join(part.value["form"] for part in said.parts if part.kind == FORM)
    return dosages(found, words, route_of_form("", forms))
