"""Extracts the code systems, value sets and concept maps that come with FHIR R4.

    python -m schemas.r4_terminology.build FOLDER

FOLDER holds `hl7.fhir.r4.examples-4.0.1.tgz` and `hl7.terminology.r4-7.0.1.tgz` (`npm pack` of
those names). Writes `definitions.zip` beside this script, the same bytes on every run. Left out:
what lists concepts of a terminology with terms of use of its own, and illustrations.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

from schemas.r4.build import read_package

PACKAGES = ("hl7.fhir.r4.examples-4.0.1.tgz", "hl7.terminology.r4-7.0.1.tgz")
HERE = Path(__file__).parent
FILE = "definitions.zip"
INDEX = "index.json"

# Code systems whose concepts may be listed here, in a code system or in a value set.
FREE = re.compile(
    r"http://hl7\.org/fhir/(?!sid/)|http://(terminology|cds-hooks)\.hl7\.org/"
    r"|http://unitsofmeasure\.org$|urn:ietf:"
)
# Whose rights, other than HL7's own and UCUM's, are claimed in a resource.
RIGHTS = re.compile(
    r"SNOMED|LOINC|DICOM|CPT|American|NUCC|NUBC|UB04|IEEE|ISO |ASTM|IHE|ADA|X12|ISBT|E-Health|"
    r"NCPDP",
    re.IGNORECASE,
)
# Lists of terminologies, and examples of the specification.
OTHER = re.compile(
    r"CodeSystem/(conceptdomains|v2-tables|v3-CodeSystem|v3-HealthcareProviderTaxonomyHIPAA)$"
    r"|/example(-|$)|acme"
)
# Required bindings of R4, whose codes are its own (`schemas/r4/required_bindings.json.gz`): the
# rights that these mention are in the meanings, not in the codes.
REQUIRED = re.compile(r"/(audit-event-action|audit-event-outcome|network-type)$")

_KEPT = (
    "resourceType", "id", "url", "version", "name", "title", "status", "experimental", "date",
    "immutable", "caseSensitive", "valueSet", "hierarchyMeaning", "compositional",
    "versionNeeded", "content", "supplements", "filter", "property", "concept", "compose",
    "sourceUri", "sourceCanonical", "targetUri", "targetCanonical", "group",
)  # fmt: skip
_OF_CONCEPTS = frozenset({
    "code", "display", "definition", "designation", "property", "concept", "language", "use",
    "value", "target", "equivalence", "comment", "dependsOn", "product", "system", "version",
    "uri", "type", "valueCode", "valueCoding", "valueString", "valueInteger", "valueBoolean",
    "valueDateTime", "valueDecimal", "include", "exclude", "filter", "op", "valueSet", "operator",
    "source", "sourceVersion", "targetVersion", "element", "unmapped", "mode", "url", "description",
    "lockedDate", "inactive",
})  # fmt: skip

Json = dict[str, Any]

WANTED = ("CodeSystem-", "ValueSet-", "ConceptMap-")


def may_be_shipped(resource: Json) -> bool:
    """Whether a resource holds nothing but what HL7 (or UCUM) publishes freely."""
    url = resource.get("url", "")
    if not url or OTHER.search(url):
        return False
    if RIGHTS.search(resource.get("copyright", "")) and not REQUIRED.search(url):
        return False
    if resource["resourceType"] == "CodeSystem":
        return bool(FREE.match(url)) and resource["content"] != "supplement"
    if resource["resourceType"] == "ConceptMap":
        groups = resource.get("group", [])
        systems = [group.get(side, "") for group in groups for side in ("source", "target")]
    else:
        compose = resource.get("compose", {})
        parts = [*compose.get("include", []), *compose.get("exclude", [])]
        systems = [part.get("system", "") for part in parts if "concept" in part]
        if not parts:
            return False
    return all(FREE.match(system) for system in systems)


def slim(resource: Json) -> Json:
    """A resource without its narrative, contacts and extensions."""
    return {name: _slim(resource[name]) for name in _KEPT if name in resource}


def _slim(value: Any) -> Any:
    if isinstance(value, list):
        return [_slim(item) for item in value]
    if isinstance(value, dict):
        return {name: _slim(item) for name, item in value.items() if name in _OF_CONCEPTS}
    return value


def main() -> None:
    """Reads the packages in the folder named on the command line; writes the data file here."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m schemas.r4_terminology.build FOLDER")
    chosen: dict[tuple[str, str], Json] = {}
    for package in PACKAGES:
        for resource in read_package(Path(sys.argv[1]) / package, WANTED):
            # R4's own first: the other package adds what R4 does not have.
            if may_be_shipped(resource):
                chosen.setdefault((resource["resourceType"], resource["url"]), slim(resource))
    index: dict[str, dict[str, str]] = {}
    with zipfile.ZipFile(HERE / FILE, "w") as archive:
        for number, ((kind, url), resource) in enumerate(sorted(chosen.items())):
            index.setdefault(kind, {})[url] = str(number)
            _write(archive, str(number), resource)
        _write(archive, INDEX, index)
    counts = {kind: len(urls) for kind, urls in index.items()}
    print(f"{FILE}: {counts}, {(HERE / FILE).stat().st_size:,} bytes")  # noqa: T201 - a script


def _write(archive: zipfile.ZipFile, name: str, value: Any) -> None:
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, body, compresslevel=9)


if __name__ == "__main__":
    main()
