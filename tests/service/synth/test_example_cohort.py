"""The example cohort definition names the codes that the population is made with."""

from __future__ import annotations

import json
from pathlib import Path

from service.synth.medications import DRUGS
from storage.analytics.cohort_definition import parse_definition

EXAMPLE = Path(__file__).parents[3] / "examples" / "cohorts" / "diabetes_metformin_hba1c.json"


def test_example_is_a_valid_definition_with_every_metformin_product() -> None:
    definition = json.loads(EXAMPLE.read_text())
    assert parse_definition(definition).name == "t2dm-metformin-uncontrolled"
    medication = next(c["medication"] for c in definition["include"] if "medication" in c)
    codes = {code["code"] for code in medication["codes"]}
    products = {d.product for key in ("metformin", "metformin_er") for d in DRUGS[key].doses}
    assert codes == products | {DRUGS["metformin"].ingredient}
