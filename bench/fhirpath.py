"""FHIRPath: score on the official R4 tests and time an evaluation, ours beside fhirpathpy.

Run: python bench/fhirpath.py [--repeat R] [--save]

Set CHARTLAKE_DATA for the scores. fhirpathpy (PyPI) is compared where it can be imported, for
instance with PYTHONPATH=.:/path/to/another/venv/lib/python3.11/site-packages; it is skipped
otherwise. Expressions are compiled once; what is timed is evaluating them.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from schemas.fhirpath import compile_expression
from schemas.invariants import issues

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "fhirpath.csv"

CODE = {"coding": [{"system": "http://loinc.org", "code": "8480-6"}], "text": "x"}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "1",
    "status": "final",
    "category": [{"coding": [{"system": "http://e/category", "code": "vital-signs"}]}],
    "code": CODE,
    "subject": {"reference": "Patient/1"},
    "effectiveDateTime": "2024-05-01T10:00:00Z",
    "component": [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": f"848{n}-6"}]},
            "valueQuantity": {
                "value": Decimal(120 + n),
                "unit": "mmHg",
                "system": "http://unitsofmeasure.org",
                "code": "mm[Hg]",
            },
        }
        for n in range(2)
    ],
}
EXPRESSIONS = (
    "Observation.status",
    "component.value.value",
    "code.coding.where(system = 'http://loinc.org').code.first()",
    "dataAbsentReason.empty() or value.empty()",
    "component.code.where(coding.intersect(%resource.code.coding).exists()).empty()",
    "component.where(value.value > 120).exists()",
    "category.coding.exists(code in ('vital-signs' | 'laboratory'))",
    "descendants().where($this is Quantity).count()",
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    library = _library()
    suite = _suite()
    print(f"System: {platform.machine()}, Python {platform.python_version()}")
    row: dict[str, Any] = {"python": platform.python_version()}
    if suite is None:
        print("The official tests are not there (CHARTLAKE_DATA).")
    else:
        row |= scores(suite, library)
    row |= timings(library, arguments.repeat)
    for name, value in row.items():
        print(f"{name:34} {value}")
    if arguments.save:
        new = not RESULTS.exists()
        with RESULTS.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, row)
            if new:
                writer.writeheader()
            writer.writerow(row)


def _library() -> ModuleType | None:
    if importlib.util.find_spec("fhirpathpy") is None:
        print("fhirpathpy is not installed; ours is measured alone.")
        return None
    return importlib.import_module("fhirpathpy")


def _suite() -> ModuleType | None:
    """The reader of the official tests that the test suite uses; None without CHARTLAKE_DATA."""
    path = ROOT / "tests" / "schemas" / "fhirpath" / "conftest.py"
    spec = importlib.util.spec_from_file_location("official_suite", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["official_suite"] = module
    spec.loader.exec_module(module)
    return module if module.suite_folder() is not None else None


def scores(suite: ModuleType, library: ModuleType | None) -> dict[str, Any]:
    """How many tests pass. The library, which gives plain values, is held to values only."""
    folder = suite.suite_folder()
    cases = suite.read_cases(folder)
    ours = sum(suite.outcome(case, folder) is None for case in cases)
    row = {"tests": len(cases), "chartlake_passed": ours}
    if library is not None:
        from fhirpathpy.models import models

        passed = 0
        for case in cases:
            resource = suite.read_input(folder / "input" / case.input) if case.input else {}
            passed += _library_passes(library, models["r4"], suite, case, resource)
        row["fhirpathpy_passed"] = passed
    return row


def _library_passes(library: ModuleType, model: Any, suite: ModuleType, case: Any, resource: Any):
    def late(signal_number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    signal.alarm(5)
    try:
        found = library.evaluate(resource, case.expression, {}, model)
    except Exception:
        return case.invalid is not None
    finally:
        signal.alarm(0)
    if case.invalid is not None:
        return False
    if case.predicate:
        found = [bool(found) and found[0] is not False]
    if len(found) != len(case.outputs):
        return False
    for value, (_, text) in zip(found, case.outputs, strict=True):
        if isinstance(value, bool):
            same = str(value).lower() == text
        elif isinstance(value, (int, float, Decimal)):
            try:
                same = Decimal(str(value)) == Decimal(text)
            except ArithmeticError:
                same = False
        else:
            same = str(value) == text.removeprefix("@").removeprefix("T")
        if not same:
            return False
    return True


def timings(library: ModuleType | None, repeat: int) -> dict[str, Any]:
    """Microseconds an evaluation, the median of the repetitions, over all expressions."""
    ours = [compile_expression(text) for text in EXPRESSIONS]
    row: dict[str, Any] = {
        "chartlake_us": _median(
            lambda: [one.evaluate(OBSERVATION) for one in ours], repeat, len(ours)
        ),
        "invariants_of_it_us": _median(lambda: issues(OBSERVATION), repeat, 1),
    }
    if library is not None:
        from fhirpathpy.models import models

        theirs = [library.compile(text, models["r4"]) for text in EXPRESSIONS]
        row["fhirpathpy_us"] = _median(
            lambda: [one(OBSERVATION, {"resource": OBSERVATION}) for one in theirs],
            repeat,
            len(theirs),
        )
    return row


def _median(work: Callable[[], Any], repeat: int, evaluations: int) -> float:
    work()
    runs = []
    for _ in range(repeat):
        rounds, began = 0, time.perf_counter()
        while time.perf_counter() - began < 0.4:
            work()
            rounds += 1
        runs.append((time.perf_counter() - began) / rounds / evaluations * 1e6)
    return round(statistics.median(runs), 1)


if __name__ == "__main__":
    main()
