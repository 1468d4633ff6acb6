"""What a PATCH carries: JSON Patch, JSON merge patch or FHIRPath Patch.

https://hl7.org/fhir/R4/http.html#patch, https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from schemas.fhirpath_patch import apply_fhirpath_patch, read_fhirpath_patch
from schemas.json_merge_patch import apply_merge_patch, read_merge_patch
from schemas.json_patch import apply_json_patch, read_json_patch
from schemas.outcomes import FhirError, error
from schemas.parse import canonical_bytes, parse_json, parse_resource
from service.request_body import FHIR_JSON_TYPES

Resource = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
_FORMATS = f"{JSON_PATCH}, {MERGE_PATCH}, or application/fhir+json with Parameters (FHIRPath Patch)"


@dataclass(frozen=True)
class Patch:
    """A patch that was read: `apply` gives a resource after it."""

    _apply: Callable[[Resource], Any]

    def apply(self, resource: Resource) -> Resource:
        """The resource after the patch; `resource` is used up.

        Raises FhirError `unprocessable` (422) for what cannot be done to this resource, and for a
        patch of its id or type.
        """
        resource_type, id = resource["resourceType"], resource["id"]
        patched = self._apply(resource)
        if not isinstance(patched, dict):
            raise error("unprocessable", "The patch leaves no resource.", resource_type)
        for name, before in (("resourceType", resource_type), ("id", id)):
            if patched.get(name) != before:
                raise error(
                    "unprocessable",
                    f"A patch does not change {name}.",
                    f"{resource_type}.{name}",
                )
        try:
            # Read anew: as deep, and of as plain values, as any other resource.
            return parse_resource(canonical_bytes(patched))
        except RecursionError:
            raise error(
                "unprocessable", "The patch nests values too deeply.", resource_type
            ) from None
        except FhirError as failure:
            raise FhirError("unprocessable", failure.issues) from None


def read_patch(body: bytes, media_type: str, place: str = "patch") -> Patch:
    """The patch in a body. Raises FhirError: `unsupported-media`, `invalid`."""
    if media_type == JSON_PATCH:
        return _json_patch(parse_json(body), place)
    if media_type == MERGE_PATCH:
        return _merge_patch(parse_json(body), place)
    if media_type not in FHIR_JSON_TYPES:
        raise error(
            "unsupported-media",
            f"A patch is {_FORMATS}; Content-Type {media_type or '(none)'} is not accepted.",
        )
    # What clients send as plain JSON: each kind can be told by its shape.
    document = parse_json(body)
    if isinstance(document, list):
        return _json_patch(document, place)
    if isinstance(document, dict) and document.get("resourceType") == "Parameters":
        return fhirpath_patch(document, "Parameters")
    return _merge_patch(document, place)


def patch_of_entry(resource: Resource, place: str) -> Patch:
    """The patch in the resource of a Bundle's entry: a Binary of one of the formats, Parameters.

    `place`: of the resource. Raises FhirError `invalid`, `unsupported-media`.
    """
    if resource["resourceType"] == "Parameters":
        return fhirpath_patch(resource, place)
    if resource["resourceType"] != "Binary":
        raise error(
            "invalid", "A PATCH in a Bundle carries a Binary (JSON Patch) or Parameters.", place
        )
    try:
        body = base64.b64decode(resource.get("data", ""), validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise error("value", "Binary.data is not base64.", f"{place}.data") from None
    kind = str(resource.get("contentType", "")).partition(";")[0].strip().lower()
    try:
        return read_patch(body, kind, f"{place}.data")
    except FhirError as failure:
        if failure.issues[0].expression:
            raise
        raise error(failure.category, failure.issues[0].diagnostics, f"{place}.data") from None


def _json_patch(document: Any, place: str) -> Patch:
    operations = read_json_patch(document, place)
    return Patch(partial(apply_json_patch, operations=operations))


def _merge_patch(document: Any, place: str) -> Patch:
    return Patch(partial(apply_merge_patch, patch=read_merge_patch(document, place)))


def parameters_patch(resource: Resource, place: str = "Parameters") -> Patch:
    """The patch in a resource that was sent as such: a FHIRPath Patch.

    Raises FhirError `unsupported-media` for any other resource, `invalid`.
    """
    if resource.get("resourceType") != "Parameters":
        raise error("unsupported-media", f"In XML a patch is Parameters; else it is {_FORMATS}.")
    return fhirpath_patch(resource, place)


def fhirpath_patch(parameters: Resource, place: str) -> Patch:
    """A FHIRPath Patch. Raises FhirError `invalid` for what is none."""
    operations = read_fhirpath_patch(parameters, place)
    return Patch(partial(apply_fhirpath_patch, operations=operations))
