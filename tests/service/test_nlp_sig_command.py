"""`chartlake nlp sig`."""

import json

import pytest

from service.cli import main


def test_an_instruction_is_printed_as_dosage(capsys: pytest.CaptureFixture[str]) -> None:
    main(["nlp", "sig", "1 tablet by mouth", "twice", "daily"])
    (dosage,) = json.loads(capsys.readouterr().out)
    assert dosage["text"] == "1 tablet by mouth twice daily"
    assert dosage["doseAndRate"][0]["doseQuantity"]["value"] == 1
    assert dosage["timing"]["repeat"] == {"frequency": 2, "period": 1, "periodUnit": "d"}
