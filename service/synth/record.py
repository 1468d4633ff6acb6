"""`generate_patient`: one patient's chart from (index, seed), whoever else is generated."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from service.synth.chart import Chart
from service.synth.concepts import Json
from service.synth.notes.document import NoteFacts, NoteWriter
from service.synth.timeline import simulate

DEFAULT_AS_OF = date(2025, 6, 30)


@dataclass(slots=True)
class PatientRecord:
    """One synthetic patient.

    `resources` begins with the Patient; parts of them are shared with other resources and must
    not be changed in place. `note_facts` says, note by note, what the text asserts and where.
    """

    index: int
    seed: int
    resources: list[Json]
    note_facts: list[NoteFacts] = field(default_factory=list)

    @property
    def patient(self) -> Json:
        """The Patient resource."""
        return self.resources[0]

    @property
    def id(self) -> str:
        """The Patient's logical id."""
        return str(self.resources[0]["id"])


def generate_patient(index: int, seed: int, *, as_of: date = DEFAULT_AS_OF) -> PatientRecord:
    """The patient with this index in the population of `seed`; the same arguments, the same bytes.

    `index` counts from 0; nothing is dated after `as_of`. Raises ValueError for a negative index.
    """
    if index < 0:
        raise ValueError(f"A patient index counts from 0; {index} is negative.")
    chart = Chart(index, seed, as_of.toordinal())
    notes = NoteWriter()
    simulate(chart, notes.after_visit)
    return PatientRecord(index, seed, chart.resources, notes.facts)
