"""Growth and development of children, and what the patient was told."""

from __future__ import annotations

from service.synth.chart import Chart
from service.synth.notes.draft import Draft
from service.synth.visit import Visit

_MILESTONES: tuple[tuple[int, str], ...] = (
    (4, "Lifts head when prone, follows faces and smiles responsively."),
    (9, "Sits with support, reaches for objects and babbles."),
    (15, "Pulls to stand, waves goodbye and says a first word."),
    (24, "Walks well, stacks blocks and points to body parts."),
    (48, "Runs, climbs stairs, speaks in short sentences and plays with other children."),
    (84, "Knows colors and letters, hops on one foot and dresses without help."),
    (144, "Does well in school, has friends and takes part in sports."),
    (240, "Attends school regularly; mood, sleep and screen time were discussed in private."),
)
_CHILD_ADVICE = (
    "Car seat and water safety, sleep and reading aloud were discussed with the family.",
    "Parents were advised on nutrition, dental care and limits on screen time.",
    "Anticipatory guidance about sleep, safety at home and physical activity was given.",
)
_ADULT_ADVICE = (
    "The assessment and the plan were discussed; the patient had no further questions and agrees.",
    "Medications were reviewed and reconciled with the patient, who can name each and its purpose.",
    "A healthy diet, thirty minutes of walking on most days and good sleep were encouraged.",
    "Written instructions were given and the patient repeated them back correctly.",
)
_HOSPITAL_ADVICE = (
    "Discharge instructions were reviewed with the patient and family, who voiced understanding.",
    "Instructions on activity, diet and wound or medication care were given in writing.",
    "The patient was told whom to call with questions and has a ride home.",
)


def development(draft: Draft, chart: Chart, visit: Visit) -> None:
    """Growth and development of a child, by age."""
    months = (visit.day - chart.person.birth_day) / 30.4375
    if months >= _MILESTONES[-1][0]:
        return
    draft.heading("Growth and Development", "Development", "Developmental History")
    draft.say(next(text for bound, text in _MILESTONES if months < bound))
    draft.say(
        draft.pick(
            (
                " Eats a varied diet and sleeps through most nights.",
                " Appetite is good and sleep is regular.",
                " Growth follows the same curve as at earlier visits.",
            )
        )
    )


def counseling(draft: Draft, chart: Chart, visit: Visit) -> None:
    """What was explained, in one or two sentences."""
    draft.heading("Counseling", "Patient Education", "Instructions")
    if visit.kind.hospital:
        draft.say(draft.pick(_HOSPITAL_ADVICE))
    elif chart.person.age(visit.day) < 14:
        draft.say(draft.pick(_CHILD_ADVICE))
    else:
        first = int(draft.random.random() * len(_ADULT_ADVICE))
        draft.say(_ADULT_ADVICE[first])
        if draft.random.random() < 0.5:
            draft.say(" " + _ADULT_ADVICE[(first + 1) % len(_ADULT_ADVICE)])
