"""A note being written: text, and for each clinical fact what it says and where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from schemas.codes import ICD10CM, RXNORM, SNOMED
from service.synth.conditions import DIAGNOSES
from service.synth.medications import DRUGS
from service.synth.procedures import PROCEDURES
from service.synth.visit import Order

# Traits of a fact; the first five are those that the NLP reports.
NEGATED, UNCERTAIN, HISTORICAL = "NEGATED", "UNCERTAIN", "HISTORICAL"
HYPOTHETICAL, FAMILY = "HYPOTHETICAL", "FAMILY"
STOPPED, ALLERGY = "STOPPED", "ALLERGY"

# SNOMED CT codes of symptoms, where there is one for exactly these words.
SYMPTOM_CODES = {
    "chest pain": "29857009",
    "dyspnea": "267036007",
    "shortness of breath": "267036007",
    "fever": "386661006",
    "cough": "49727002",
    "nausea": "422587007",
    "vomiting": "422400008",
    "headache": "25064002",
    "dysuria": "49650001",
    "hematuria": "34436003",
    "palpitations": "80313002",
    "wheezing": "56018004",
    "fatigue": "84229001",
    "rash": "271807003",
    "orthopnea": "62744007",
    "hemoptysis": "66857006",
    "sore throat": "162397003",
    "nasal congestion": "68235000",
    "ear pain": "301354004",
    "heartburn": "16331000",
    "dysphagia": "40739000",
    "low back pain": "279039007",
    "knee pain": "30989003",
    "melena": "2901004",
    "diarrhea": "62315008",
}


class NoteFact(NamedTuple):
    """One thing that a note states: `text` stands at `begin:end` (code points) of the note.

    `category` is one of the NLP's categories; `concepts` are (system, code) pairs, none where no
    code fits; `traits` tell how it is meant; `attributes` are such as ("dose", "500 mg").
    """

    category: str
    text: str
    begin: int
    end: int
    concepts: tuple[tuple[str, str], ...]
    traits: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]

    @property
    def code(self) -> str | None:
        """The first code, if there is one."""
        return self.concepts[0][1] if self.concepts else None

    @property
    def affirmed(self) -> bool:
        """Whether it is said of the patient, as true now."""
        return not self.traits


class Draft:
    """Text under construction. `say` adds words, the other methods words that are facts."""

    __slots__ = ("_length", "_parts", "facts", "random", "style")

    def __init__(self, random: Random) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.facts: list[NoteFact] = []
        self.random = random
        self.style = int(random.random() * 3)

    def text(self) -> str:
        """The note so far."""
        return "".join(self._parts)

    def pick(self, choices: Sequence[str]) -> str:
        """One of several ways to say something."""
        return choices[int(self.random.random() * len(choices))]

    def say(self, text: str) -> None:
        """Add words."""
        self._parts.append(text)
        self._length += len(text)

    def heading(self, *choices: str) -> None:
        """Begin a section."""
        words = self.pick(choices)
        words = (words.upper() + ":", words + ":", words.upper())[self.style]
        self.say(f"\n\n{words}\n" if self._parts else f"{words}\n")

    def fact(
        self,
        text: str,
        category: str,
        concepts: tuple[tuple[str, str], ...] = (),
        traits: tuple[str, ...] = (),
        attributes: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Add words that state a fact."""
        begin = self._length
        self.say(text)
        self.facts.append(
            NoteFact(category, text, begin, self._length, concepts, traits, attributes)
        )

    def symptom(self, text: str, *traits: str, capital: bool = False) -> None:
        """Add a symptom."""
        code = SYMPTOM_CODES.get(text)
        words = text[0].upper() + text[1:] if capital else text
        self.fact(words, "SYMPTOM", ((SNOMED, code),) if code else (), traits)

    def symptoms(self, texts: Iterable[str], joint: str, *traits: str) -> None:
        """Add a list of symptoms: `a, b or c`."""
        listed = list(dict.fromkeys(texts))
        for number, text in enumerate(listed):
            if number:
                self.say(f" {joint} " if number == len(listed) - 1 else ", ")
            self.symptom(text, *traits)

    def diagnosis(
        self, key: str, *traits: str, capital: bool = False, formal: bool = False
    ) -> None:
        """Add a diagnosis in one of its usual wordings."""
        entry = DIAGNOSES[key]
        words = entry.says[0] if formal else self.pick(entry.says)
        if capital:
            words = words[0].upper() + words[1:]
        self.fact(words, "CONDITION", ((SNOMED, entry.snomed), (ICD10CM, entry.icd10)), traits)

    def diagnoses(self, keys: Sequence[str], joint: str = "and", *traits: str) -> None:
        """Add a list of diagnoses."""
        for number, key in enumerate(keys):
            if number:
                self.say(f" {joint} " if number == len(keys) - 1 else ", ")
            self.diagnosis(key, *traits)

    def drug(
        self, order: Order, *traits: str, capital: bool = False, name_only: bool = False
    ) -> None:
        """Add a drug with strength and frequency, as the order has them."""
        dose, drug = order.dose, DRUGS[order.dose.drug]
        name = drug.name[0].upper() + drug.name[1:] if capital else drug.name
        concepts = ((RXNORM, drug.ingredient), (RXNORM, dose.product))
        if name_only:
            self.fact(name, "MEDICATION", concepts[:1], traits)
            return
        frequency = dose.timing.short if self.style == 1 else dose.timing.words
        needed = (" PRN" if self.style == 1 else " as needed") if dose.as_needed else ""
        attributes = (("dose", dose.strength), ("frequency", frequency))
        self.fact(name, "MEDICATION", concepts, traits, attributes)
        self.say(f" {dose.strength} {frequency}{needed}")

    def procedure(self, key: str, *traits: str, capital: bool = False) -> None:
        """Add a procedure."""
        code, says = PROCEDURES[key]
        if capital:
            says = says[0].upper() + says[1:]
        self.fact(says, "PROCEDURE", ((SNOMED, code["coding"][0]["code"]),), traits)

    def test(self, name: str, value: str, loinc: str, shown: str | None = None) -> None:
        """Add a test with its value."""
        self.fact(name, "TEST", (("http://loinc.org", loinc),), (), (("value", value),))
        self.say(f" {shown if shown is not None else value}")
