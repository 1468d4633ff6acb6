"""`$validate`: would this resource be accepted? (R4 resource-operation-validate.html)"""

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.outcomes import FhirError, Issue, operation_outcome
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
            parts = resource.get("parameter", [])
            resource = next((p["resource"] for p in parts if p.get("name") == "resource"), {})
        issues = find_issues(resource, resource_type)
    except FhirError as failure:
        issues = failure.issues
    if not issues:
        issues = [Issue("information", "informational", f"This is a valid {resource_type}.", ())]
    return fhir_resource(operation_outcome(issues), request)
