"""HL7's FHIRPath tests for R4, all of them, when CHARTLAKE_DATA names the folder with the suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

# What fails, and why. docs/conformance_fhirpath.md says the same.
KNOWN_FAILURES = {
    "testPlus/testPlusDate19": "drops 0.1 s, though fractions of seconds count in date arithmetic",
    "HighBoundary/HighBoundaryDateTimeMillisecond1": "takes 08 for 08:00, not for the whole hour",
    "HighBoundary/HighBoundaryDateTimeMillisecond3": "takes 08 for 08:00, not for the whole hour",
}


def test_the_official_tests_pass_but_for_those_listed(
    official: Callable[[], tuple[Path, list[Any], Callable[[Any, Path], str | None]]],
) -> None:
    folder, cases, outcome = official()
    assert len(cases) > 700
    failures = {case.name: why for case in cases if (why := outcome(case, folder)) is not None}
    unlisted = {name: why for name, why in failures.items() if name not in KNOWN_FAILURES}
    assert not unlisted
    present = {case.name for case in cases}
    assert set(KNOWN_FAILURES) & present == set(failures), "a listed failure passes: unlist it"
