"""Results of tests as notes write them: `golden/values.tsv`, each line read end to end."""

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nlp import Annotator, NoteSource, to_resources
from nlp.results.result_dates import UNKNOWN, heading_date
from nlp.results.units import UNITS, assumed_unit, unit_code
from nlp.rules import rows
from nlp.terminology import knowledge_base
from schemas.ucum import canonical

SOURCE = NoteSource("DocumentReference/n", "1", "Patient/p", date="2024-03-05")
LINES = [
    line
    for line in (Path(__file__).parent / "golden" / "values.tsv").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


def number(value: Decimal | str) -> str:
    return format(Decimal(value).normalize(), "f")


def shown_value(resource: dict[str, Any]) -> str:
    quantity = resource.get("valueQuantity")
    if quantity is not None:
        value = quantity.get("comparator", "") + number(quantity["value"])
        return f"{value} {quantity.get('code', '')}"
    if "valueRange" in resource:
        low, high = resource["valueRange"]["low"], resource["valueRange"]["high"]
        return f"{number(low['value'])}..{number(high['value'])} {low.get('code', '')}"
    if "valueRatio" in resource:
        return f"1:{number(resource['valueRatio']['denominator']['value'])}"
    if "valueCodeableConcept" in resource:
        concept = resource["valueCodeableConcept"]
        return "=" + concept.get("coding", [{"display": concept["text"]}])[0]["display"].lower()
    parts = [part["valueQuantity"] for part in resource["component"]]
    return f"{'/'.join(number(part['value']) for part in parts)} {parts[0]['code']}"


def shown(resource: dict[str, Any]) -> str:
    code = resource["code"].get("coding", [{"code": "-"}])[0]["code"]
    line = f"{code} {shown_value(resource)}".strip()
    if "interpretation" in resource:
        line += " !" + resource["interpretation"][0]["coding"][0]["code"]
    for reference in resource.get("referenceRange", ()):
        ends = (reference[end]["value"] if end in reference else "" for end in ("low", "high"))
        line += f" [{'-'.join(number(end) if end != '' else '' for end in ends)}]"
    date = resource.get("effectiveDateTime", "none")
    return line if date == SOURCE.date else f"{line} @{date}"


def is_result(resource: dict[str, Any]) -> bool:
    """Not a symptom that is present or absent."""
    if resource["resourceType"] != "Observation":
        return False
    concept = resource.get("valueCodeableConcept", {}).get("coding", [{}])[0].get("display")
    return concept not in ("Present", "Absent") or "interpretation" in resource


def expected(line: str) -> str:
    """A line of the table with its numbers as `number` writes them; `-` for an uncoded test."""
    if not re.match(r"\d+-\d ", line):
        line = re.sub(r"^.*? (?=[<>=]*\d|=)", "- ", line, count=1)
    head, _, rest = line.partition(" ")
    rest = re.sub(r"(?<![\w.:/-])\d+\.\d+", lambda found: number(found.group()), rest)
    rest = re.sub(r"\[([\d.]*)-([\d.]*)\]", _range, rest)
    return f"{head} {rest}"


def _range(found: re.Match[str]) -> str:
    return "[" + "-".join(number(end) if end else "" for end in found.groups()) + "]"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(
            line.removeprefix("? "),
            marks=[pytest.mark.xfail(strict=True)] if line.startswith("? ") else [],
        )
        for line in LINES
    ],
)
def test_golden_value(annotator: Annotator, line: str) -> None:
    text, _, wanted = line.partition("\t")
    found = to_resources(annotator.annotate(text.replace("\\n", "\n")), SOURCE)
    results = Counter(shown(resource) for resource in found if is_result(resource))
    assert results == Counter(expected(one) for one in wanted.split(" | ") if one.strip())


def test_there_are_at_least_two_hundred_lines() -> None:
    assert len(LINES) >= 200


def test_every_unit_that_is_read_is_ucum() -> None:
    bad = {code for code in UNITS.values() if canonical(Decimal(1), code) is None}
    units = {u.ucum for term in knowledge_base().terms.values() for u in term.units}
    bad |= {u for u in units if u != "{class}" and canonical(Decimal(1), u) is None}
    assert bad == set()


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("x10^9/L", "10*9/L"), ("× 109/L", "10*9/L"), ("10*3/uL", "10*3/uL"), ("K/mm3", "10*3/uL"),
        ("mcg/dL", "ug/dL"), ("µmol/L", "umol/L"), ("MG/DL", "mg/dL"), ("mIU / mL", "m[IU]/mL"),
        ("ml/min/1.73 m2", "mL/min/{1.73_m2}"), ("degrees F", "[degF]"), ("cells/mm3", "/uL"),
    ],
)  # fmt: skip
def test_unit_code(written: str, code: str) -> None:
    assert unit_code(written) == code


@pytest.mark.parametrize(
    ("test", "value", "unit"),
    [
        ("glucose", "110", "mg/dL"), ("glucose", "5.6", "mmol/L"),
        ("C-reactive protein", "12", None), ("C-reactive protein", "90", "mg/L"),
        ("magnesium", "0.8", None), ("magnesium", "1.8", "mg/dL"), ("sodium", "138", "mmol/L"),
        ("body temperature", "38.2", "Cel"), ("D-dimer", "0.8", None),
    ],
)  # fmt: skip
def test_a_unit_is_assumed_only_where_one_is_plausible(
    test: str, value: str, unit: str | None
) -> None:
    assert assumed_unit(knowledge_base().term(f"test:{test}"), Decimal(value)).code == unit


def test_the_assumed_unit_is_said_to_be_assumed(annotator: Annotator) -> None:
    notes = {}
    for text in ("K 4.1", "K 4.1 mmol/L"):
        (observation, _) = to_resources(annotator.annotate(text), SOURCE)
        notes[text] = "note" in observation
    assert notes == {"K 4.1": True, "K 4.1 mmol/L": False}


def test_oxygen_that_a_saturation_was_measured_on(annotator: Annotator) -> None:
    (observation, _) = to_resources(annotator.annotate("SpO2 91% on 2L NC"), SOURCE)
    (flow,) = observation["component"]
    assert flow["code"]["coding"][0]["code"] == "3151-8"
    assert (flow["valueQuantity"]["value"], flow["valueQuantity"]["code"]) == (2, "L/min")


def test_older_value_of_a_trend_is_no_result(annotator: Annotator) -> None:
    (mention,) = annotator.annotate("Cr 1.2 -> 1.8")
    assert [a.text for a in mention.attributes if a.type == "EARLIER_VALUE"] == ["1.2"]


def test_spans_quote_the_note(annotator: Annotator) -> None:
    text = "Labs:\r\n  Potassium 5.8 mmol/L (H)  (3.5-5.0)"
    (mention,) = (m for m in annotator.annotate(text) if m.category == "TEST")
    quoted = {a.type: text[a.begin : a.end] for a in mention.attributes}
    assert quoted == {
        "TEST_VALUE": "5.8", "TEST_UNIT": "mmol/L", "TEST_FLAG": "H", "REFERENCE_RANGE": "3.5-5.0"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("3/4/2023:", "2023-03-04"), ("Labs on 13/4/2023:", "2023-04-13"),
        ("On March 4, 2023 the", "2023-03-04"), ("In March 2023,", "2023-03"),
        ("2023-03-04 labs", "2023-03-04"), ("Labs (3/4):", UNKNOWN), ("2/30/2023:", UNKNOWN),
    ],
)  # fmt: skip
def test_heading_date(written: str, date: str) -> None:
    found = heading_date(written, 0, len(written))
    assert found is not None
    assert found[0] == date


def test_codes_by_specimen_and_unit_are_known(shared_data: Path) -> None:
    import gzip

    path = shared_data / "terminology" / "loinc_short" / "short_loinc.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as stream:
        known = {line.split("\t")[0] for line in stream}
    used = {row[2] for row in rows("unit_codes.tsv", 4)}
    used |= {row[2] for row in rows("specimen_codes.tsv", 5)}
    assert used - known == set()


def test_a_models_span_that_took_the_result_is_cut_to_the_name() -> None:
    from spacy.tokens import Span

    from nlp.pipeline import NlpConfig, build

    nlp = build(NlpConfig(ner_model="none"))
    doc = nlp.make_doc("MCV 72 (L)")
    doc.ents = [Span(doc, 0, 2, label="TEST"), Span(doc, 3, 4, label="TEST")]
    for name in ("sections", "sentences", "measurements"):
        doc = nlp.get_pipe(name)(doc)
    (ent,) = doc.ents
    assert (ent.text, ent.kb_id_) == ("MCV", "test:mean corpuscular volume")
    assert [a.text for a in ent._.attributes] == ["72", "L"]
