"""Extracts what Chartlake needs of FHIR R4 4.0.1 from HL7's own package.

    python -m schemas.r4.build FOLDER

FOLDER holds `hl7.fhir.r4.examples-4.0.1.tgz` from npm (`npm pack hl7.fhir.r4.examples@4.0.1`).
The files are written beside this script, byte for byte the same on every run.
"""

from __future__ import annotations

import gzip
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

PACKAGE = "hl7.fhir.r4.examples-4.0.1.tgz"
HERE = Path(__file__).parent
CORE = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
WANTED = (
    "StructureDefinition-", "SearchParameter-", "CompartmentDefinition-",
    "ValueSet-", "CodeSystem-",
)  # fmt: skip
# Illustrations of the specification, not search parameters of it.
EXAMPLE_PARAMETERS = frozenset({"example", "example-extension", "example-reference"})

Json = dict[str, Any]


def read_package(path: Path, wanted: tuple[str, ...] = WANTED) -> list[Json]:
    """The definitions in the package whose names begin with one of `wanted`, by file name."""
    found = {}
    with tarfile.open(path) as package:
        for member in package:
            name = member.name.rpartition("/")[2]
            file = package.extractfile(member) if name.startswith(wanted) else None
            if file is not None:
                found[name] = json.load(file)
    return [found[name] for name in sorted(found)]


def structure(definitions: list[Json], value_sets: set[str]) -> Json:
    """Types and backbone elements with their element tables.

    An element is `[name, min, max, types, targets, binding, reference]`: `max` is 1 or null (no
    limit), `name` of a choice ends in `[x]`, `targets` are the resource types that a Reference may
    point to (null: any), `binding` a required value set that can be enumerated, `reference` the
    element whose content it shares.
    """
    types: Json = {}
    for definition in definitions:
        if definition["resourceType"] != "StructureDefinition":
            continue
        own = definition.get("derivation") == "specialization" or definition["type"] in (
            "Element", "Resource",
        )  # fmt: skip
        if not own or definition["kind"] == "logical" or not definition["url"].startswith(CORE):
            continue
        kind = definition["type"]
        elements = definition["snapshot"]["element"]
        tables: dict[str, list[Any]] = {kind: []}
        for element in elements[1:]:
            parent, _, name = element["path"].rpartition(".")
            codes = [_type_code(t) for t in element.get("type", [])]
            if parent == kind and name == "value" and definition["kind"] == "primitive-type":
                continue
            if set(codes) <= {"BackboneElement", "Element"} and codes and name != "extension":
                tables.setdefault(element["path"], [])
                codes = [element["path"]]
            tables[parent].append([
                name,
                element["min"],
                1 if element["max"] == "1" else None,
                codes,
                _targets(element),
                _binding(element, value_sets),
                element.get("contentReference", "").removeprefix("#") or None,
            ])  # fmt: skip
        for path, table in tables.items():
            types[path] = {
                "kind": definition["kind"] if path == kind else "backbone",
                "abstract": bool(definition["abstract"]) and path == kind,
                "elements": table,
            }
    return {"fhirVersion": "4.0.1", "types": types}


def element_flags(definitions: list[Json], table: Json) -> Json:
    """The elements of each type that are in a summary, and those that modify what others mean.

    Type or path of a backbone element → `{"summary": [names], "modifier": [names]}`, `[x]` as in
    the element table; flags that no element of a type has are left out.
    """
    found: Json = {}
    for definition in definitions:
        if definition["resourceType"] != "StructureDefinition":
            continue
        if definition["type"] not in table["types"] or definition["url"] != (
            CORE + definition["type"]
        ):
            continue
        for element in definition["snapshot"]["element"][1:]:
            parent, _, name = element["path"].rpartition(".")
            for flag in ("summary", "modifier"):
                if element.get(f"is{flag.title()}"):
                    found.setdefault(parent, {}).setdefault(flag, []).append(name)
    return found


def _type_code(described: Json) -> str:
    for extension in described.get("extension", []):
        if extension["url"] == FHIR_TYPE:
            code = extension.get("valueUrl") or extension.get("valueUri")
            return str(code).removeprefix(CORE)
    return str(described["code"])


def _targets(element: Json) -> list[str] | None:
    targets: set[str] = set()
    for described in element.get("type", []):
        if described["code"] == "Reference":
            profiles = described.get("targetProfile", [])
            targets |= {profile.removeprefix(CORE) for profile in profiles} or {"Resource"}
    return sorted(targets) if targets and "Resource" not in targets else None


def _binding(element: Json, value_sets: set[str]) -> str | None:
    binding = element.get("binding", {})
    if binding.get("strength") != "required":
        return None
    url = str(binding.get("valueSet", "")).partition("|")[0]
    return url if url in value_sets else None


BEST_PRACTICE = "http://hl7.org/fhir/StructureDefinition/elementdefinition-bestpractice"

# What `schemas.validate` finds by itself, with a text that says where and why.
STRUCTURAL_CONSTRAINTS = frozenset({"ele-1", "ext-1"})


def constraints(definitions: list[Json], types: Json) -> list[list[Any]]:
    """The constraints of R4's types: `[type, element or null, key, severity, human, expression]`.

    A constraint stands on a type (a backbone element's is its path) or on an element of one.
    Constraints that every resource inherits stand on DomainResource alone.
    """
    found: dict[tuple[str, str | None, str], list[Any]] = {}
    for definition in definitions:
        name = str(definition.get("type"))
        own = definition["resourceType"] == "StructureDefinition" and name in types
        if not own or definition["url"] != CORE + name:
            continue
        for element in definition["snapshot"]["element"]:
            path = str(element["path"])
            parent, _, label = path.rpartition(".")
            place = (path, None) if path in types else (parent, label.removesuffix("[x]"))
            for one in element.get("constraint", []):
                if one["key"] in STRUCTURAL_CONSTRAINTS:
                    continue
                on = ("DomainResource", None) if one["key"].startswith("dom-") else place
                best = any(e["url"] == BEST_PRACTICE for e in one.get("extension", []))
                severity = "best-practice" if best else one["severity"]
                found[*on, one["key"]] = [
                    *on, one["key"], severity, one["human"], one["expression"],
                ]  # fmt: skip
    return [found[place] for place in sorted(found, key=str)]


def expansions(definitions: list[Json]) -> dict[str, list[list[str]]]:
    """The enumerable value sets, as sorted `[system, code]` pairs."""
    systems = {d["url"]: d for d in definitions if d["resourceType"] == "CodeSystem"}
    found = {}
    for definition in definitions:
        if definition["resourceType"] == "ValueSet":
            pairs = _expand(definition.get("compose", {}), systems)
            if pairs:
                found[definition["url"]] = [list(pair) for pair in sorted(pairs)]
    return found


def _expand(compose: Json, systems: dict[str, Json]) -> set[tuple[str, str]] | None:
    if compose.get("exclude"):
        return None
    pairs: set[tuple[str, str]] = set()
    for include in compose.get("include", []):
        system = include.get("system")
        if system is None or "filter" in include or "valueSet" in include:
            return None
        if "concept" in include:
            pairs |= {(system, concept["code"]) for concept in include["concept"]}
            continue
        described = systems.get(system)
        if described is None or described.get("content") != "complete":
            return None
        _add_concepts(pairs, system, described.get("concept", []))
    return pairs


def _add_concepts(pairs: set[tuple[str, str]], system: str, concepts: list[Json]) -> None:
    for concept in concepts:
        pairs.add((system, concept["code"]))
        _add_concepts(pairs, system, concept.get("concept", []))


def search_parameters(definitions: list[Json]) -> list[Json]:
    """The search parameters: code, type, base, expression, target types, url, components."""
    found = []
    for definition in definitions:
        if definition["resourceType"] != "SearchParameter" or "base" not in definition:
            continue
        if definition["id"] in EXAMPLE_PARAMETERS:
            continue
        found.append({
            "code": definition["code"],
            "type": definition["type"],
            "base": sorted(definition["base"]),
            "component": [
                [one["definition"], one["expression"]] for one in definition.get("component", [])
            ],
            "expression": definition.get("expression"),
            "target": sorted(definition.get("target", [])),
            "url": definition["url"],
        })  # fmt: skip
    return sorted(found, key=lambda parameter: (parameter["code"], parameter["url"]))


def compartments(definitions: list[Json]) -> dict[str, dict[str, list[str]]]:
    """Compartment → resource type → search parameters that put a resource in it.

    `{def}` stands for the resource that the compartment is of.
    """
    found = {
        one["code"]: {r["code"]: r["param"] for r in one["resource"] if r.get("param")}
        for one in definitions
        if one["resourceType"] == "CompartmentDefinition" and one["id"] != "example"
    }
    if len(found) != 5:
        raise SystemExit("The package does not hold the five CompartmentDefinitions of R4.")
    return found


# What a profile is applied by; the rest of an ElementDefinition is for readers.
_APPLIED = (
    "id", "path", "sliceName", "slicing", "min", "max", "type", "maxLength", "binding",
    "constraint", "contentReference",
)  # fmt: skip
_APPLIED_PREFIXES = ("fixed", "pattern", "minValue", "maxValue")


def profiles(definitions: list[Json]) -> Json:
    """R4's own profiles and extensions by url, their snapshots as far as they are applied."""
    found: Json = {}
    for definition in definitions:
        if definition["resourceType"] != "StructureDefinition":
            continue
        if definition.get("derivation") != "constraint":
            continue
        view = "snapshot" if "snapshot" in definition else "differential"
        kept = {
            key: definition[key]
            for key in ("resourceType", "url", "version", "name", "type", "kind", "derivation",
                        "baseDefinition")
            if key in definition
        }  # fmt: skip
        elements = [_applied(element) for element in definition[view]["element"]]
        found[definition["url"]] = {**kept, view: {"element": elements}}
    return found


def _applied(element: Json) -> Json:
    kept = {
        key: value
        for key, value in element.items()
        if key in _APPLIED or key.startswith(_APPLIED_PREFIXES)
    }
    if "constraint" in kept:
        wanted = ("key", "severity", "human", "expression", "source")
        kept["constraint"] = [
            {key: one[key] for key in wanted if key in one} for one in kept["constraint"]
        ]
    if "slicing" in kept:
        kept["slicing"] = {k: v for k, v in kept["slicing"].items() if k != "description"}
    return kept


def write(name: str, value: Any) -> None:
    """Writes compact JSON; gzipped with a fixed time for a name that ends in `.gz`."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()
    if name.endswith(".gz"):
        body = gzip.compress(body, compresslevel=9, mtime=0)
    (HERE / name).write_bytes(body)


def main() -> None:
    """Reads the package in the folder named on the command line; writes the data files here."""
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: python -m schemas.r4.build FOLDER   (with {PACKAGE} in it)")
    definitions = read_package(Path(sys.argv[1]) / PACKAGE)
    sets = expansions(definitions)
    table = structure(definitions, set(sets))
    used = {e[5] for t in table["types"].values() for e in t["elements"] if e[5]}
    write("structure.json.gz", table)
    write("invariants.json.gz", constraints(definitions, table["types"]))
    write("required_bindings.json.gz", {url: sets[url] for url in used})
    write("search_parameters.json.gz", search_parameters(definitions))
    write("profiles.json.gz", profiles(definitions))
    write("compartments.json", compartments(definitions))
    write("element_flags.json.gz", element_flags(definitions, table))


if __name__ == "__main__":
    main()
