"""The table's notation, and that a wrong field is counted as wrong."""

from nlp.dosage import parse
from nlp.evaluation.dosage import compare, fields_of, row, wrong_amounts


def test_fields_of_reads_as_the_table_writes() -> None:
    (dosage,) = parse("1-2 tabs by mouth q4-6h prn pain for 3 days, max 8 tablets per day")
    assert fields_of(dosage) == {
        "dose": "1-2 tablet",
        "freq": "1/4-6h",
        "for": "3d",
        "route": "PO",
        "prn": "pain",
        "max": "8 tablet/1d",
    }


def test_a_wrong_dose_and_a_missing_field_are_counted() -> None:
    expected = row("1 tab bid", "dose 2 tablet; freq 2/d; prn pain")
    result = compare(expected, parse(expected.sig))
    assert (result.right, result.total) == (1, 3)
    assert wrong_amounts([(expected, result)]) == [("1 tab bid", "dose", "2 tablet", "1 tablet")]


def test_order_of_clauses_is_a_field() -> None:
    expected = row("1 tab in the morning and 2 at bedtime", "dose 1 tablet; when MORN")
    result = compare(expected, parse(expected.sig))
    assert ("sequence", "[1]", "[1, 1]") in result.wrong
