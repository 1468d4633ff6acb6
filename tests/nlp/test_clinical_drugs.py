"""The shipped drugs: what a note writes, compared with RxNorm's names; each code with RxNorm."""

import csv
import gzip
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from nlp.evaluation.linking import drug_slips
from nlp.linking import Linker
from nlp.terminology import curated, knowledge_base
from nlp.terminology.clinical_drugs import (
    ClinicalDrug,
    normal_name,
    parse_clinical_drug,
    read_written,
)
from nlp.terminology.starter_drugs import clinical_drugs, sole_drugs


@pytest.fixture(scope="module")
def linker() -> Linker:
    return Linker(knowledge_base())


@pytest.mark.parametrize(
    ("name", "ingredients", "amounts", "form", "brand"),
    [
        ("lisinopril 10 MG Oral Tablet", ["lisinopril"], ["10"], "Oral Tablet", ""),
        (
            "acetaminophen 325 MG / oxycodone hydrochloride 5 MG Oral Tablet [Percocet]",
            ["acetaminophen", "oxycodone hydrochloride"],
            ["325", "5"],
            "Oral Tablet",
            "percocet",
        ),
        (
            "24 HR metoprolol succinate 25 MG Extended Release Oral Tablet",
            ["metoprolol succinate"],
            ["25"],
            "Extended Release Oral Tablet",
            "",
        ),
        ("amoxicillin 50 MG/ML Oral Suspension", ["amoxicillin"], ["50"], "Oral Suspension", ""),
    ],
)
def test_normal_names(
    name: str, ingredients: Sequence[str], amounts: Sequence[str], form: str, brand: str
) -> None:
    drug = parse_clinical_drug("1", name)
    assert drug is not None
    assert list(drug.ingredients) == ingredients
    assert [s.amount for s in drug.strengths] == [Decimal(a) for a in amounts]
    assert (drug.form, drug.brand) == (form, brand)
    assert normal_name("1", name) == name


@pytest.mark.parametrize(
    "name", ["lisinopril", "{7 (x 1 MG Oral Tablet) } Pack", "", "Oral Tablet"]
)
def test_other_names_are_no_products(name: str) -> None:
    assert parse_clinical_drug("1", name) is None


@pytest.mark.parametrize(
    ("text", "amounts", "unit", "form"),
    [
        (" 500 mg tablet BID", ["500"], "MG", "Oral Tablet"),
        (" 20/12.5 mg daily", ["20", "12.5"], "MG", ""),
        (" 5-325", ["5", "325"], "MG", ""),
        (" 20 mg-12.5 mg oral tablet", ["20", "12.5"], "MG", "Oral Tablet"),
        (" 75 mcg tab", ["0.075"], "MG", "Oral Tablet"),
        (" 1 g tablets", ["1000"], "MG", "Oral Tablet"),
        (" 1,000 mg capsules", ["1000"], "MG", "Oral Capsule"),
        (" 250 mg/5 mL suspension", ["50"], "MG/ML", "Oral Suspension"),
        (" 100 units/mL", ["100"], "UNT/ML", ""),
        (" (10 mg tablets)", ["10"], "MG", "Oral Tablet"),
        (" 100 mg ER tablet", ["100"], "MG", "Extended Release Oral Tablet"),
        (" 81 mg chewable tablet", ["81"], "MG", "Chewable Tablet"),
        (" 4 mg ODT tab", ["4"], "MG", "Disintegrating Oral Tablet"),
    ],
)
def test_what_a_note_writes(text: str, amounts: Sequence[str], unit: str, form: str) -> None:
    written = read_written(text)
    assert written is not None
    assert list(written.amounts) == [Decimal(a) for a in amounts]
    assert (written.unit + written.per, written.form) == (unit, form)


@pytest.mark.parametrize(
    "text", [" 40", " 2019", " daily", "", " level 1.2", " q6h", " 5 mg/325 mcg"]
)
def test_what_is_no_strength(text: str) -> None:
    assert read_written(text) is None


def test_dose_range_is_not_the_strength_of_a_combination() -> None:
    written = read_written(" 1-2 tabs")
    assert written is None or not any(written.fits(drug) for drug in clinical_drugs())


def drug(linker: Linker, name: str, after: str = "") -> list[str]:
    return [c.code for c in linker.drugs.link(name, linker.drugs.term_of(name), after)]


@pytest.mark.parametrize(
    ("name", "after", "codes"),
    [
        ("lisinopril", " 10 mg tablet", ["29046", "314076"]),
        ("lisinopril", " 10 mg daily", ["29046"]),
        ("lisinopril-HCTZ", " 20/12.5", ["214618", "197886"]),
        ("HCTZ/lisinopril", " 12.5/20", ["214618", "197886"]),
        ("Percocet", " 10/325 q6h prn", ["214183", "1049625"]),
        ("metoprolol succinate ER", " 25 mg tablet", ["6918", "866427"]),
        ("metoprolol succinate", " 25 mg tablet", ["6918"]),  # another form than it says
        ("Entresto", " 24/26 BID", ["1656339", "1656346"]),
        ("sertraline", " 100 mg oral tablet", ["36437", "312938"]),
        ("sertraline", " 100 mg chewable tablet", ["36437"]),
        ("levothyroxine", " 75 mcg tablet", ["10582", "966222"]),
        ("Coumadin", " 5 mg tablet", ["11289"]),  # its brand is not among the shipped products
    ],
)
def test_shipped_drugs(linker: Linker, name: str, after: str, codes: list[str]) -> None:
    assert drug(linker, name, after) == codes


def test_combinations_are_found_however_they_are_written(linker: Linker) -> None:
    for name in ("lisinopril/HCTZ", "HCTZ-lisinopril", "lisinopril and hydrochlorothiazide"):
        assert drug(linker, name) == ["214618"]
    # Two drugs that are no product together are two drugs.
    assert linker.drugs.term_of("aspirin/warfarin") is None


def test_the_table_is_as_large_as_promised() -> None:
    coded = [row for row in curated.rows("medications.tsv", 4) if row[1]]
    brands = sum(len(row[2].split("|")) for row in coded if row[2])
    assert len(coded) >= 690
    assert len(coded) + brands >= 1_400
    assert len(clinical_drugs()) >= 380


# Against RxNorm itself.


@pytest.fixture(scope="module")
def rxnorm(shared_data: Path) -> dict[str, tuple[str, str]]:
    path = shared_data / "terminology" / "rxnorm" / "rxnorm_union.tsv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return {r["rxcui"]: (r["tty"], r["name"]) for r in csv.DictReader(stream, delimiter="\t")}


def _key(drug: ClinicalDrug, ingredients: frozenset[str]) -> tuple[object, ...]:
    """Ingredients without their salts, strengths, brand."""
    plain = []
    for ingredient, strength in zip(drug.ingredients, drug.strengths, strict=True):
        words = ingredient.split(" ")
        found = (
            " ".join(words[:n])
            for n in range(len(words), 0, -1)
            if " ".join(words[:n]) in ingredients
        )
        plain.append((next(found, ingredient), strength.amount, strength.unit))
    return (*sorted(plain), drug.brand)


def test_clinical_drugs_are_rxnorms_and_the_only_ones(
    rxnorm: dict[str, tuple[str, str]],
) -> None:
    ingredients = frozenset(name.lower() for kind, name in rxnorm.values() if kind == "IN")
    by_form: dict[tuple[object, ...], set[str]] = {}
    by_strength: dict[tuple[object, ...], set[str]] = {}
    for code, (kind, name) in rxnorm.items():
        drug = parse_clinical_drug(code, name) if kind in ("SCD", "SBD") else None
        if drug is not None:
            key = _key(drug, ingredients)
            by_strength.setdefault(key, set()).add(code)
            by_form.setdefault((*key, drug.form), set()).add(code)
    for drug in clinical_drugs():
        kind, name = rxnorm[drug.code]
        assert name.lower() == drug.name.lower()
        key = _key(drug, ingredients)
        assert by_form.get((*key, drug.form), {drug.code}) == {drug.code}, name
        if drug.code in sole_drugs():
            assert kind in ("SCD", "SBD")
            assert by_strength[key] == {drug.code}, name


def test_brands_are_of_their_ingredient(rxnorm: dict[str, tuple[str, str]]) -> None:
    """Where RxNorm has products of a brand, they have the ingredient that the table says."""
    of_brand: dict[str, set[str]] = {}
    for code, (kind, name) in rxnorm.items():
        drug = parse_clinical_drug(code, name) if kind == "SBD" else None
        if drug is not None and len(drug.ingredients) == 1:
            of_brand.setdefault(drug.brand, set()).add(drug.ingredients[0])
    wrong = [
        (brand, name)
        for name, code, brands, _ in curated.rows("medications.tsv", 4)
        if code and " / " not in name
        for brand in brands.split("|")
        for display in [code.partition("=")[2].lower() or name.lower()]
        if (found := of_brand.get(brand.lower()))
        and not any(display.split(" ")[0][:5] in ingredient for ingredient in found)
    ]
    assert wrong == []


def test_slips_in_drug_names_never_become_another_drug(shared_data: Path) -> None:
    path = shared_data / "terminology" / "rxnorm" / "rxnorm_union.tsv.gz"
    figures = {figure.measure: figure for figure in drug_slips(path)}
    assert figures["another drug"].value <= 2
    assert figures["another drug"].support > 15_000
    assert figures["names taken for others"].value <= 1
    assert figures["corrected"].value > 2_000
