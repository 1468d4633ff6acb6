"""Notes made up with protected health information at known places, to measure its finding.

Names are of three kinds: from the shipped lists, of other languages, and put together from
syllables so that no list has them. Formats vary by chance with a fixed seed.
"""

# ruff: noqa: S311, E501 - chance here is for variety, not for secrecy; templates are lines of notes

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from nlp.phi.words import first_names, is_ordinary, surnames

_FOREIGN_FIRST = [
    "Oluwaseun",
    "Ngozi",
    "Thuy",
    "Xiuying",
    "Agnieszka",
    "Zbigniew",
    "Siobhan",
    "Caoimhe",
    "Bjorn",
    "Søren",
    "Zoë",
    "José",
    "María",
    "Ümit",
    "Ayşe",
    "Rajesh",
    "Priyanka",
    "Venkatesh",
    "Amaterasu",
    "Haruto",
    "Jie",
    "Dmitri",
    "Svetlana",
    "Nkechi",
    "Abdulrahman",
    "Fatimah",
    "Yusuf",
    "Ioannis",
    "Eleftheria",
    "Gintaras",
    "Jürgen",
    "Małgorzata",
    "Chidi",
    "Thandiwe",
    "Hyun-woo",
    "Mei-Ling",
    "Jean-Luc",
    "Marie-Claire",
]
_FOREIGN_LAST = [
    "Okonkwo",
    "Adeyemi",
    "Nguyen",
    "Kowalczyk",
    "Wiśniewski",
    "O'Shaughnessy",
    "D'Angelo",
    "Müller-Schmidt",
    "García-López",
    "Venkataraghavan",
    "Subramaniam",
    "Papadopoulos",
    "Stavropoulou",
    "Ó'Dálaigh",
    "McAllister",
    "Fitzgerald-Hughes",
    "Van der Berg",
    "de la Cruz",
    "al-Masri",
    "bin Rashid",
    "Łukasiewicz",
    "Yıldırım",
    "Dvořák",
    "Szczepański",
    "Björnsson",
    "Tshabalala",
    "Nakagawa",
    "Hoang",
    "Zhuang",
    "Petrovic",
]
_SYLLABLES = [
    "ba",
    "bel",
    "bran",
    "cor",
    "dal",
    "dren",
    "el",
    "fen",
    "gar",
    "hal",
    "il",
    "jor",
    "kel",
    "lan",
    "mar",
    "nev",
    "or",
    "pel",
    "quin",
    "ras",
    "sel",
    "tor",
    "ul",
    "van",
    "wex",
    "yar",
    "zen",
    "thor",
    "lin",
    "mont",
    "ric",
    "stel",
    "vor",
]
_CITY_ENDS = (
    "ville",
    "ton",
    "field",
    "burg",
    "ford",
    "wood",
    "dale",
    "port",
    " Springs",
    " Falls",
    "view",
)
_STREETS = (
    "Street",
    "St",
    "Avenue",
    "Ave",
    "Road",
    "Rd.",
    "Drive",
    "Lane",
    "Blvd",
    "Court",
    "Way",
    "Circle",
    "Place",
    "Terrace",
    "Parkway",
)
_STATES = ("OH", "Ohio", "MA", "Texas", "CA", "NY", "Illinois", "WA", "Georgia", "NC")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


@dataclass(slots=True)
class PhiNote:
    """A note and where it holds what: `(begin, end, category, kind)`, kind `unlisted` or ``."""

    text: str
    gold: list[tuple[int, int, str, str]] = field(default_factory=list)


class _Writer:
    """Makes up values; each is remembered for one note, so that people keep their names."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.kind = ""
        self._first = sorted(n for n in first_names() if not is_ordinary(n))
        self._last = sorted(n for n in surnames() if not is_ordinary(n))

    def _invented(self) -> str:
        return "".join(
            self.rng.choice(_SYLLABLES) for _ in range(self.rng.randint(2, 3))
        ).capitalize()

    def person(self) -> tuple[str, str, str]:
        """First name, last name, kind."""
        draw = self.rng.random()
        if draw < 0.4:
            return (
                self.rng.choice(self._first).capitalize(),
                self.rng.choice(self._last).capitalize(),
                "",
            )
        if draw < 0.7:
            return self.rng.choice(_FOREIGN_FIRST), self.rng.choice(_FOREIGN_LAST), "unlisted"
        return self._invented(), self._invented(), "unlisted"

    def date(self) -> str:
        """A date in one of fourteen styles."""
        day = date(1990, 1, 1) + timedelta(days=self.rng.randint(0, 12500))
        month = _MONTHS[day.month - 1]
        suffix = {1: "st", 2: "nd", 3: "rd"}.get(
            day.day % 10 if day.day not in (11, 12, 13) else 0, "th"
        )
        return self.rng.choice(
            (
                f"{day:%m/%d/%Y}",
                f"{day.month}/{day.day}/{day:%y}",
                f"{day:%Y-%m-%d}",
                f"{day:%m-%d-%Y}",
                f"{month} {day.day}, {day.year}",
                f"{month[:3]} {day.day}, {day.year}",
                f"{day.day} {month} {day.year}",
                f"{day.day}-{month[:3]}-{day.year}",
                f"{month} {day.day}{suffix}",
                f"{day.day}{month[:3].upper()}{day:%y}",
                f"{day:%m.%d.%Y}",
                f"the {day.day}{suffix} of {month}",
                f"{month} {day.year}",
                f"{day.month}/{day.day}",
                f"{day:%Y/%m/%d}",
                f"{month[:3]}. {day.day}{suffix}, {day.year}",
            )
        )

    def phone(self) -> str:
        """A telephone number in one of nine styles."""
        a, b, c = self.rng.randint(201, 989), self.rng.randint(200, 999), self.rng.randint(0, 9999)
        return self.rng.choice(
            (
                f"({a}) {b}-{c:04d}",
                f"{a}-{b}-{c:04d}",
                f"{a}.{b}.{c:04d}",
                f"{a} {b} {c:04d}",
                f"+1 {a} {b} {c:04d}",
                f"1-{a}-{b}-{c:04d}",
                f"({a}){b}-{c:04d}",
                f"{b}-{c:04d}",
                f"{a}-{b}-{c:04d} x{self.rng.randint(10, 9999)}",
            )
        )

    def number(self, *styles: str) -> str:
        """A number after a pattern: `9` a digit, `A` a letter."""
        style = self.rng.choice(styles)
        return "".join(
            str(self.rng.randint(0, 9))
            if c == "9"
            else self.rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ")
            if c == "A"
            else c
            for c in style
        )

    def city(self) -> str:
        """A town that is on no map."""
        return self._invented() + self.rng.choice(_CITY_ENDS)

    def street(self) -> str:
        """House number and street, with a flat now and then."""
        flat = self.rng.choice(("", "", ", Apt 4B", " Unit 12", ", Suite 300", " #7"))
        return f"{self.rng.randint(1, 9999)} {self.rng.choice(('', 'N. ', 'West '))}{self._invented()} {self.rng.choice(_STREETS)}{flat}"

    def organization(self) -> str:
        """A hospital, an employer, a school."""
        return self.rng.choice(
            (
                "{} General Hospital",
                "{} Medical Center",
                "St. {} Hospital",
                "{} Memorial Hospital",
                "{} Family Clinic",
                "{} Nursing Home",
                "University of {}",
                "{} High School",
                "{} Pharmacy",
                "{} Rehabilitation Center",
                "{} Industries",
            )
        ).format(self._invented())


# {category:what} is filled in; P is the patient, D, E clinicians, R a relative. f first, l last name.
_LINES = (
    "Patient: {N:Pl}, {N:Pf}   MRN: {MRN}   DOB: {DATE}",
    "PATIENT NAME: {N:PLF}\nMedical Record #{MRN}\nDate of Birth: {DATE}",
    "Name: {N:Pf} {N:Pl}    Acct: {ID}   Visit date {DATE}",
    "RE: {N:Pf} {N:Pl}\nDear Dr. {N:Dl},\nThank you for referring {N:Pf} to our clinic.",
    "{N:Pf} {N:Pl} is a {AGE} year old with hypertension seen on {DATE}.",
    "Mr. {N:Pl} is a 54-year-old man with COPD who presents with dyspnea since {DATE}.",
    "Mrs. {N:Pl} was admitted to {ORG} on {DATE} with pneumonia.",
    "HPI: Ms. {N:Pl} reports chest pain. {N:Pl} denies fever.",
    "{N:Pf} is here with her husband {N:Rf} for follow-up.",
    "Her daughter, {N:Rf} {N:Rl}, can be reached at {PHONE}.",
    "He lives with his wife {N:Rf} in {LOC:city}, {state}.",
    "Address: {LOC:street}, {LOC:city}, {state2} {ZIP}",
    "Lives at {LOC:street} in {LOC:city}.",
    "Emergency contact: {N:Rf} {N:Rl} (sister) {PHONE}",
    "Phone: {PHONE}  Fax: {FAX}  Email: {EMAIL}",
    "SSN: {SSN}. Medicare number {ID}. Driver's license # {ID}.",
    "Pacemaker serial number {ID}, implanted {DATE} by Dr. {N:Ef} {N:El}.",
    "Portal: {URL} accessed from {IP}.",
    "Discussed with {N:Ef} {N:El}, MD, who agrees with the plan.",
    "Seen by {N:Ef} {N:El} in cardiology on {DATE}.",
    "Case was reviewed with Dr. {N:El} and Dr. {N:Dl}.",
    "Attending: {N:Df} {N:Dl}, M.D.",
    "Electronically signed by: {N:Dl}, {N:Df} MD on {DATE}",
    "Dictated by {N:Df} {N:Dl}, PA-C\ncc: {N:Ef} {N:El}, DO",
    "Sincerely,\n{N:Df} {N:Dl}, MD\n{ORG}",
    "She works at {ORG} and was born in {LOC:city}.",
    "Transferred from {ORG} on {DATE}. PCP: {N:El}.",
    "dr. {N:el} recommends starting aspirin. mr. {N:pl} agrees.",
    "SURGEON: {N:DFL}\nASSISTANT: {N:EFL}\nDATE OF OPERATION: {DATE}",
    "{N:Pl}'s blood pressure was 142/88, strength 5/5, pain 7/10.",
    "Patient's mother {N:Rf} had breast cancer at 52.",
    "Prescription sent to {ORG}, phone {PHONE}. Policy # {ID}.",
    "Labs from {DATE}: Na 138, K 4.1, Cr 1.2, WBC 12.3, Hgb 10.1.",
    "Follow up with Dr. {N:El} on {DATE} at {ORG}.",
    "Nurse {N:Rf} {N:Rl} called the family at {PHONE}.",
    "License plate {ID} noted by EMS. Account number: {ID}.",
)
# Written after the rules, and scored before anything was mended for them.
_FRESH_LINES = (
    "DISCHARGE SUMMARY\nPt: {N:Pf} {N:Pl} | Age/Sex: {AGE} F | MR#: {MRN} | Adm: {DATE} | D/C: {DATE}",
    "CC: cough. {N:Pf} has been coughing for two weeks per {N:Pf}'s son {N:Rf}.",
    "I had the pleasure of seeing your patient {N:Pf} {N:Pl} in the office on {DATE}.",
    "As you know, Ms. {N:Pl} is a pleasant retired teacher from {LOC:city}.",
    "Pt seen & examined w/ Dr {N:Dl}; agree w/ resident note. - {N:Ef} {N:El} MD",
    "Consulting service: Nephrology ({N:Df} {N:Dl}, NP, pager {ID5})",
    "Contact person is {N:Rf} {N:Rl}, brother, cell {PHONE} or {EMAIL}.",
    "D: {DATE} T: {DATE} Job: {ID}\nDICTATING PROVIDER: {N:Df} {N:Dl}, MD",
    "Home: {LOC:street}\n      {LOC:city}, {state2} {ZIP}",
    "Sent from {ORG} ED via ambulance. Previously hospitalized at {ORG} in {DATE}.",
    "The patient, {N:Pf} {N:Pl}, and her spouse, {N:Rf}, were counseled.",
    "Nursing: {N:Ef} {N:El}, RN at bedside. Report given to {N:Df} {N:Dl}.",
    "Will call Mr. and Mrs. {N:Pl} with results. Left voicemail at {PHONE}.",
    "ICD generator model {ID} S/N {ID} interrogated {DATE}.",
    "{N:Pl}, {N:Pf} - Room 12 - f/u {DATE}",
    "Social: lives with daughter {N:Rf} on {LOC:street}. Attends {ORG}.",
    "Insurance ID: {ID}; Group no {ID}; SS# {SSN}",
    "Informed consent obtained by {N:Df} {N:Dl} with interpreter {N:Rf} {N:Rl} present.",
    "Pathology reviewed by {N:El} at {ORG} ({PHONE}).",
    "Dr. {N:Df} {N:Dl} of {ORG} will assume care.",
    "Thank you, Dr. {N:Dl}, for allowing us to participate in {N:Pf}'s care.",
    "Anesthesia: General, by {N:Df} {N:Dl}. EBL 50 mL. Specimen # {ID}.",
    "{N:Pf} was accompanied to clinic by grandmother {N:Rf} {N:Rl}.",
    "Referring MD: {N:El}, {N:Ef}. Next appt {DATE} at 10:30 AM.",
    "Login IP {IP}; message via {URL}.",
    "Turned {AGE} last month; celebrated with family in {LOC:city}.",
    "cc: {N:Df} {N:Dl}; {N:Ef} {N:El}",
    "Surgical team: {N:Dl}/{N:El}",
    "Per {N:Rl} (PT), gait is steady. OT eval by {N:Ef} {N:El} pending.",
    "She is followed by {N:El} for her MS and by Dr. {N:Df} {N:Dl} at {ORG} for diabetes.",
)
_FILLER = (
    "History of Parkinson disease and Crohn's disease. Foley catheter in place, Babinski negative.",
    "Lasix 40 mg daily, Coumadin 5 mg. May repeat in 2 weeks. Will follow.",
    "Murphy's sign negative. No evidence of Hodgkin lymphoma. Apgar 8 and 9.",
    "Lungs clear to auscultation. Abdomen soft, nontender. Romberg normal.",
    "Assessment: type 2 diabetes, well controlled. Continue Metformin 1000 mg BID.",
    "Vital Signs: BP 120/80, HR 72, RR 16, T 98.6, SpO2 98% on RA.",
    "Glasgow Coma Scale 15. Gram stain negative. Swan-Ganz catheter removed.",
    "Review of Systems: General: no fever. Cardiac: no chest pain.",
    "Plan: Check CBC, BMP. Increase Lisinopril to 20 mg. Return if worse.",
)
_SLOT = re.compile(r"\{(?P<name>[A-Za-z0-9]+)(?::(?P<what>\w+))?\}")


def phi_notes(count: int, seed: int, *, fresh: bool = False) -> list[PhiNote]:
    """`count` notes; the same seed gives the same notes. `fresh` takes the second set of lines."""
    writer = _Writer(random.Random(seed))
    return [_note(writer, _FRESH_LINES if fresh else _LINES) for _ in range(count)]


def _note(writer: _Writer, templates: Sequence[str]) -> PhiNote:
    people = {role: writer.person() for role in "PDER"}
    values: dict[str, Callable[[], str]] = {
        "DATE": writer.date,
        "AGE": lambda: str(writer.rng.randint(90, 104)),
        "PHONE": writer.phone,
        "FAX": writer.phone,
        "MRN": lambda: writer.number(
            "9999999", "99-99-99", "A999999", "999 999"[:3] + "9999", "0099999999"
        ),
        "ID": lambda: writer.number(
            "AAA999999", "9999999999", "A99-9999", "9AA9-AA9-AA99", "AA9999999", "99999999-01"
        ),
        "ID5": lambda: writer.number("99999", "9999"),
        "SSN": lambda: writer.number("999-99-9999", "999999999", "999 99 9999"),
        "ZIP": lambda: writer.number("99999", "99999-9999"),
        "IP": lambda: (
            f"{writer.rng.randint(1, 255)}.{writer.rng.randint(0, 255)}.{writer.rng.randint(0, 255)}.{writer.rng.randint(1, 254)}"
        ),
        "URL": lambda: writer.rng.choice(
            ("https://mychart.example.org/p/{}", "www.{}health.com", "http://{}.net/login")
        ).format(writer.number("AA99").lower()),
        "EMAIL": lambda: (
            f"{people['P'][0].lower().encode('ascii', 'ignore').decode()}.{writer.number('A9').lower()}@{writer.rng.choice(('gmail.com', 'mail.example.org', 'yahoo.co.uk'))}"
        ),
        "ORG": writer.organization,
    }
    note = PhiNote("")
    lines = writer.rng.sample(templates, writer.rng.randint(7, 12))
    lines += writer.rng.sample(_FILLER, 4)
    writer.rng.shuffle(lines)
    shout = writer.rng.random() < 0.1
    for line in lines:
        end = 0
        for slot in _SLOT.finditer(line):
            note.text += line[end : slot.start()]
            end = slot.end()
            value, category, kind = _value(writer, slot, people, values)
            if category:
                note.gold.append((len(note.text), len(note.text) + len(value), category, kind))
            note.text += value
        note.text += line[end:] + writer.rng.choice(("\n", "\n", "\n\n", " \n"))
    if shout and len(note.text.upper()) == len(note.text):
        note.text = note.text.upper()
    return note


def _value(
    writer: _Writer,
    slot: re.Match[str],
    people: dict[str, tuple[str, str, str]],
    values: dict[str, Callable[[], str]],
) -> tuple[str, str, str]:
    """`(value, category, kind)`; no category for what is no PHI."""
    name, what = slot["name"], slot["what"]
    if name.startswith("state"):
        return writer.rng.choice(_STATES), "", ""
    if name == "N":
        first, last, kind = people[what[0].upper()]
        forms = {
            "f": first,
            "l": last,
            "LF": f"{last.upper()}, {first.upper()}",
            "FL": f"{first.upper()} {last.upper()}",
        }
        value = forms[what[1:]]
        return (value.lower() if what[0].islower() else value), "NAME", kind
    if name == "LOC":
        return (writer.city() if what == "city" else writer.street()), "LOCATION", ""
    if name == "ORG":
        return values["ORG"](), "ORGANIZATION", ""
    return values[name](), name, ""
