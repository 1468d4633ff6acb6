"""`$validate`: would this resource be accepted? (R4 resource-operation-validate.html)"""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.outcomes import FhirError, Issue, error, operation_outcome
from schemas.parse import parse_resource
from schemas.validate import validate as find_issues
from service.context import FhirBody, ResourceType
from service.responses import fhir_resource

router = APIRouter()


@router.post("/{resource_type}/$validate", summary="validate a resource, storing nothing")
def validate(resource_type: ResourceType, body: FhirBody, request: Request) -> Response:
    """An OperationOutcome: 200 whether the resource is valid or not; nothing is stored.

    The body is the resource itself, or Parameters with a part named `resource`.
    """
    try:
        resource = parse_resource(body)
        if resource["resourceType"] == "Parameters" and resource_type != "Parameters":
            resource = _from_parameters(resource)
        issues = find_issues(resource, resource_type)
    except FhirError as failure:
        issues = failure.issues
    if not issues:
        issues = [Issue("information", "informational", f"This is a valid {resource_type}.", ())]
    return fhir_resource(operation_outcome(issues), request)


def _from_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """The resource to validate. Raises FhirError for Parameters that carry none."""
    parts = parameters.get("parameter")
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict) and part.get("name") == "resource":
            resource = part.get("resource")
            if isinstance(resource, dict) and isinstance(resource.get("resourceType"), str):
                return resource
    raise error(
        "required",
        "Parameters carry the resource to validate in a parameter named `resource`.",
        "Parameters.parameter",
    )
