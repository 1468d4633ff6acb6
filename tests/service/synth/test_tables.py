"""The tables: well formed, of known keys, and with the codes that the official releases hold."""

from __future__ import annotations

import gzip
import os
from itertools import pairwise
from pathlib import Path

import pytest

from service.synth import measurements, medications
from service.synth.conditions import DIAGNOSES
from service.synth.disease.illness import ILLNESSES
from service.synth.disease.registry import CHRONIC_MODULES
from service.synth.medications import DRUGS
from service.synth.prevalence import CHRONIC
from service.synth.procedures import PROCEDURES
from service.synth.tables import rows, steps


@pytest.mark.parametrize(
    "name", ["diagnoses", "drugs", "illnesses", "measurements", "names", "prevalence"]
)
def test_every_table_reads(name: str) -> None:
    assert len(rows(name)) > 5


def test_a_row_of_the_wrong_width_is_named(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "broken.tsv").write_text("# comment\na\tb\n1\t2\n1\n")
    monkeypatch.setattr("service.synth.tables.files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"broken\.tsv line 4"):
        rows("broken")


def test_steps() -> None:
    assert steps("18:0 25:0.5") == ((18.0, 0.0), (25.0, 0.5))


def test_keys_agree_between_tables() -> None:
    for key, curve, _ in CHRONIC:
        assert key in DIAGNOSES and key in CHRONIC_MODULES
        assert all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(curve))
    for illness in ILLNESSES:
        assert illness.key in DIAGNOSES
        assert not illness.considered or illness.considered in DIAGNOSES
        assert not illness.operation or illness.operation in PROCEDURES
        assert set(illness.procedures) <= PROCEDURES.keys()
        assert all(course.drug in DRUGS for courses in illness.courses for course in courses)
    for panel in measurements.PANELS.values():
        assert set(panel.members) <= measurements.MEASUREMENTS.keys()


def test_contraindications() -> None:
    assert medications.unsuitable(DRUGS["lisinopril"], {"pregnancy"})
    assert medications.unsuitable(DRUGS["amoxicillin"], {"penicillin"})
    assert medications.unsuitable(DRUGS["ibuprofen"], {"ckd"})
    assert medications.unsuitable(DRUGS["metformin"], {"ckd4"})
    assert not medications.unsuitable(DRUGS["metformin"], {"ckd", "penicillin"})


def test_products_are_in_the_prescribable_content_of_rxnorm() -> None:
    data = os.environ.get("CHARTLAKE_DATA")
    if not data:
        pytest.skip("CHARTLAKE_DATA is not set: no RxNorm release to compare with")
    folder = Path(data) / "terminology" / "rxnorm"
    with gzip.open(folder / "prescribable_rxcuis.txt.gz", "rt") as file:
        prescribable = set(file.read().split())
    with gzip.open(folder / "rxnorm_union.tsv.gz", "rt") as file:
        names = {line.split("\t")[0]: line.split("\t")[2].lower() for line in file}
    for row in rows("drugs"):
        assert row["product"] in prescribable, row["product"]
        assert row["ingredient"] in prescribable, row["ingredient"]
        if row["product"] in names:
            assert names[row["product"]].replace("5mg", "5 mg") == row["product_label"].lower()


def test_icd10_codes_are_billable() -> None:
    icd = pytest.importorskip("simple_icd_10_cm", reason="simple_icd_10_cm is not installed")
    for entry in DIAGNOSES.values():
        assert icd.is_valid_item(entry.icd10) and icd.is_leaf(entry.icd10), entry.key
        assert icd.get_description(entry.icd10) == entry.concept["coding"][1]["display"]
