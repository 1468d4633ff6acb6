"""Every router of the service, in the order in which their paths are tried.

**A new interaction or operation is registered here, by one line.** Where paths overlap, what is
more specific comes first.
"""

from __future__ import annotations

from service.interactions import (
    bundle,
    capabilities,
    create,
    delete,
    history,
    patch,
    read,
    search,
    update,
    vread,
)
from service.operations import (
    bulk_delete,
    bulk_patch,
    cohorts,
    docref,
    document,
    erase,
    everything,
    export,
    health,
    jobs,
    member_match,
    metrics,
    nlp,
    nlp_queue,
    notes,
    sql,
    terminology_codes,
    terminology_expand,
    terminology_translate,
    timeline,
    validate,
)
from service.surface import Surface

_HL7 = "http://hl7.org/fhir/OperationDefinition/"
_OWN = "https://chartlake.org/fhir/OperationDefinition/"

FHIR_SURFACES = (
    Surface(capabilities.router),
    Surface(bundle.router),
    Surface(jobs.router),
    Surface(
        erase.router,
        writes=True,
        definitions={"purge": _HL7 + "Patient-purge", "erase": _OWN + "Resource-erase"},
    ),
    Surface(validate.router, definitions={"validate": _HL7 + "Resource-validate"}),
    Surface(
        terminology_expand.router,
        definitions={
            "expand": _HL7 + "ValueSet-expand",
            "validate-code": _HL7 + "ValueSet-validate-code",
        },
    ),
    Surface(
        terminology_codes.router,
        definitions={
            "lookup": _HL7 + "CodeSystem-lookup",
            "validate-code": _HL7 + "CodeSystem-validate-code",
            "subsumes": _HL7 + "CodeSystem-subsumes",
        },
    ),
    Surface(terminology_translate.router, definitions={"translate": _HL7 + "ConceptMap-translate"}),
    Surface(timeline.router, definitions={"timeline": _OWN + "Patient-timeline"}),
    Surface(everything.patient_router, definitions={"everything": _HL7 + "Patient-everything"}),
    Surface(everything.encounter_router, definitions={"everything": _HL7 + "Encounter-everything"}),
    Surface(
        docref.router,
        definitions={"docref": "http://hl7.org/fhir/us/core/OperationDefinition/docref"},
    ),
    Surface(document.router, definitions={"document": _HL7 + "Composition-document"}),
    Surface(
        member_match.router,
        definitions={
            "member-match": "http://hl7.org/fhir/us/davinci-hrex/OperationDefinition/member-match"
        },
    ),
    Surface(bulk_delete.router, writes=True, definitions={"bulk-delete": _OWN + "bulk-delete"}),
    Surface(bulk_patch.router, writes=True, definitions={"bulk-patch": _OWN + "bulk-patch"}),
    Surface(
        export.router,
        writes=True,
        definitions={"export": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"},
        statement=export.STATEMENT,
    ),
    Surface(nlp.router, definitions={"nlp": _OWN + "DocumentReference-nlp"}),
    Surface(history.router, describes=history.describe),
    Surface(vread.router),
    Surface(search.router, describes=search.describe, statement=search.STATEMENT),
    Surface(create.router, writes=True, describes=create.describe),
    Surface(read.router, describes=read.describe),
    Surface(update.router, writes=True, describes=update.describe),
    Surface(patch.router, writes=True, statement=patch.STATEMENT),
    Surface(delete.router, writes=True, describes=delete.describe),
)

PLAIN_ROUTERS = (
    health.router,
    metrics.router,
    notes.router,
    nlp.plain_router,
    nlp_queue.router,
    nlp_queue.writing_router,
    timeline.plain_router,
    cohorts.router,
    sql.router,
)
# Others that may change something are refused by the lake itself.
PLAIN_WRITING_ROUTERS = (notes.router, nlp_queue.writing_router)
