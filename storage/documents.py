"""The references to a patient's documents: what `$docref` asks for.

http://hl7.org/fhir/us/core/OperationDefinition/docref
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.clinical_dates import CARE_DATES, cared_for_in
from schemas.codes import codings
from schemas.dates import MAX_US, MIN_US
from schemas.index_values import DateValue
from schemas.outcomes import error
from schemas.search_values import extract_params
from storage.listing import Listing, all_pages

if TYPE_CHECKING:
    from storage.lake_at import LakeAt

_KIND = "DocumentReference"
MAX_DOCUMENTS = 100_000

Token = tuple[str | None, str]
"""System (None: any; empty: none) and code."""


@dataclass(frozen=True)
class DocumentsOf:
    """A patient's documents: of any of `types`, by any of `profiles`, with a date of care in the
    half-open interval of microseconds. Without dates, the current ones: not those superseded.
    `on_demand`: only those that would be made on demand, and there are none."""

    patient: str
    types: tuple[Token, ...] = ()
    profiles: tuple[str, ...] = ()
    low_us: int = MIN_US
    high_us: int = MAX_US
    on_demand: bool = False

    @property
    def is_dated(self) -> bool:
        """Whether a period was asked for."""
        return (self.low_us, self.high_us) != (MIN_US, MAX_US)

    def question(self) -> list[str]:
        """What a cursor must not be moved to."""
        types = [f"{system}|{code}" for system, code in self.types]
        bounds = [str(self.low_us), str(self.high_us)]
        only = ["on-demand"] if self.on_demand else []
        return ["documents", self.patient, *bounds, *types, "", *self.profiles, *only]

    def listed(self, view: LakeAt) -> Listing:
        """All of them, the latest first. Raises FhirError `too-large`."""
        found: list[tuple[int, str]] = []
        if self.on_demand:
            return Listing((), 0, 0)
        versions = (
            version
            for page in all_pages(view, _KIND, [("patient", f"Patient/{self.patient}")])
            for version in page.versions
        )
        for version in versions:
            document = version.resource()
            if self._meets(document):
                dates = extract_params(document, CARE_DATES[_KIND])
                latest = max((d.high_us for d in dates if isinstance(d, DateValue)), default=MIN_US)
                found.append((-latest, document["id"]))
                if len(found) > MAX_DOCUMENTS:
                    text = f"This patient has more than {MAX_DOCUMENTS:,} documents."
                    raise error("too-large", text, "patient")
        keys = tuple((_KIND, id) for _, id in sorted(found))
        return Listing(keys, len(keys), 0)

    def _meets(self, document: dict[str, Any]) -> bool:
        status = document.get("status")
        if status == "entered-in-error" or (status != "current" and not self.is_dated):
            return False
        if self.types and not any(_is(document, token) for token in self.types):
            return False
        if self.profiles and not self._profiled(document):
            return False
        return not self.is_dated or cared_for_in(document, self.low_us, self.high_us)

    def _profiled(self, document: dict[str, Any]) -> bool:
        """By its own profile, or by the format of its content."""
        content, meta = document.get("content"), document.get("meta") or {}
        formats = {
            coding.get("code")
            for one in (content if isinstance(content, list) else ())
            if isinstance(one, dict)
            for coding in codings(one.get("format"))
        }
        profiles = meta.get("profile")
        own = {
            str(url).partition("|")[0] for url in (profiles if isinstance(profiles, list) else ())
        }
        return any(
            profile in formats or profile.partition("|")[0] in own for profile in self.profiles
        )


def _is(document: dict[str, Any], token: Token) -> bool:
    system, code = token
    return any(
        one.get("code") == code and (system is None or (one.get("system") or "") == system)
        for one in codings(document.get("type"))
    )
