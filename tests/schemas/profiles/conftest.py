"""Profiles made for a test, and US Core 6.1.0 where CHARTLAKE_DATA has it."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import Issue
from schemas.parse import parse_resource
from schemas.profiles.validator import Profiles

Json = dict[str, Any]
BASE = "http://hl7.org/fhir/StructureDefinition/"
URL = "http://example.org/StructureDefinition/p"


class Checker:
    """Profiles by url, and what they say of a resource."""

    def __init__(self) -> None:
        self.definitions: dict[str, Json] = {}
        self.codes: dict[tuple[str, str | None, str], bool] = {}
        self.state = 0
        self.profiles = Profiles(
            lambda canonical: self.definitions.get(canonical.partition("|")[0]),
            lambda: lambda value_set, system, code: self.codes.get((value_set, system, code)),
            lambda: self.state,
        )

    def add(
        self,
        kind: str,
        *elements: Json,
        url: str = URL,
        base: str = "",
        view: str = "differential",
    ) -> str:
        """Define a profile; elements without a path get it from their id."""
        for element in elements:
            path = ".".join(part.partition(":")[0] for part in element.get("id", "").split("."))
            element.setdefault("path", path)
        self.definitions[url] = {
            "resourceType": "StructureDefinition",
            "url": url,
            "name": "P",
            "status": "active",
            "kind": "resource",
            "abstract": False,
            "type": kind,
            "derivation": "constraint",
            "baseDefinition": base or BASE + kind,
            view: {"element": list(elements)},
        }
        self.state += 1
        return url

    def issues(self, resource: Json, url: str = URL, **more: Any) -> list[Issue]:
        return self.profiles.validate(resource, url, **more)

    def errors(self, resource: Json, url: str = URL, **more: Any) -> list[str]:
        """Places of the errors; asserts that each issue names the profile."""
        issues = self.issues(resource, url, **more)
        assert all("(profile " in issue.diagnostics for issue in issues)
        return [issue.expression[0] for issue in issues if issue.severity == "error"]


@pytest.fixture
def check() -> Checker:
    return Checker()


class UsCore:
    """The package: its definitions and examples by file name.

    `profiles` has them as they are, `by_differential` without their snapshots.
    """

    def __init__(self, path: Path) -> None:
        self.definitions: dict[str, Json] = {}
        self.examples: dict[str, Json] = {}
        with tarfile.open(path) as package:
            for member in package:
                folder, _, name = member.name.rpartition("/")
                file = package.extractfile(member) if name.endswith(".json") else None
                if file is None:
                    continue
                if folder == "package" and name.startswith("StructureDefinition-"):
                    definition = parse_resource(file.read())
                    self.definitions[definition["url"]] = definition
                elif folder == "package/example":
                    self.examples[name.removesuffix(".json")] = parse_resource(file.read())
        self.profiles = self._profiles(self.definitions)
        self.by_differential = self._profiles({
            url: {key: value for key, value in definition.items() if key != "snapshot"}
            for url, definition in self.definitions.items()
        })  # fmt: skip

    @staticmethod
    def _profiles(definitions: dict[str, Json]) -> Profiles:
        return Profiles(
            lambda canonical: definitions.get(canonical.partition("|")[0]),
            lambda: lambda _value_set, _system, _code: None,
        )


@pytest.fixture(scope="session")
def us_core() -> UsCore:
    root = Path(os.environ.get("CHARTLAKE_DATA", ""))
    path = root / "conformance/us-core/us_core_610.tgz"
    if not os.environ.get("CHARTLAKE_DATA") or not path.is_file():
        pytest.skip("CHARTLAKE_DATA does not name a folder with conformance/us-core")
    return UsCore(path)
