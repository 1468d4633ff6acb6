"""One line of a patient's timeline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

STRUCTURED = "structured"
NLP = "nlp"

# Facts that a note mentions but that are not (or not yet) true of the patient.
NOT_THE_PATIENTS = frozenset({"NEGATED", "FAMILY", "HYPOTHETICAL"})


@dataclass(frozen=True)
class TimelineEvent:
    """Something that was recorded of, or written about, a patient.

    `date` and `end` are FHIR dates as written, `date_precision` is `year`, `month`, `day` or
    `time` (None with no date). `kind` is the clinical word (`condition`, `medication`, …), `type`
    the resource type. `code` and `system` are the first coding; `value` is text with its unit.
    `source` is `structured` or `nlp`; for `nlp`, `note` is the note it was read from, `score` how
    sure the reader was (0 to 1) and `traits` how it was meant. `also_in` has the other resources
    that say the same.
    """

    date: str | None
    end: str | None
    date_precision: str | None
    kind: str
    type: str
    display: str | None
    code: str | None
    system: str | None
    value: str | None
    status: str | None
    source: str
    score: float | None
    traits: tuple[str, ...]
    reference: str
    note: str | None
    encounter: str | None
    also_in: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The event as a JSON-ready dict."""
        found = asdict(self)
        found["traits"] = list(self.traits)
        found["also_in"] = list(self.also_in)
        return found

    @property
    def is_patients_own(self) -> bool:
        """False for what is negated, about a relative, or hypothetical."""
        return not NOT_THE_PATIENTS.intersection(self.traits)
